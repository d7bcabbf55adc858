"""Wire records: what goes in and what comes out, as msgspec Structs with strict codecs."""
