"""Wire records: inputs and outputs as msgspec Structs with strict codecs."""
