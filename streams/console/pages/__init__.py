"""The pages of the console: what renders them, their texts and files, and one module of routes a page."""
