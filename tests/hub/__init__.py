"""A Hub on loopback: a test double that the real `huggingface_hub` client drives."""
