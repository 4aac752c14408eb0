"""Every call to a language model: one asynchronous client with a cache, retries, limits and a budget."""
