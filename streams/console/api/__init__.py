"""`/v1`: what the pages show, as JSON, read a page at a time; OpenAPI at `/v1/openapi.json`."""
