"""From conversations to token ids: template, tokenizer, truncation, packing, and the store that keeps them."""
