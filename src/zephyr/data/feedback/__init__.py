"""The `feedback` stage: answers, what the judge is asked, and what it said."""
