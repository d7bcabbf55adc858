"""The texts of the console in Chinese and English: one YAML file a page, each line ``page.key: {zh: ..., en: ...}``."""
