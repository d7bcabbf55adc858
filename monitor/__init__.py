"""The domain: records and a watermark in, decisions out. No clock, no network, no Faust."""
