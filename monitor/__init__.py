"""The domain: records and a watermark in, decisions out.

It has no clock, no network and no Faust. It imports `schemas` and nothing of `streams`.
"""
