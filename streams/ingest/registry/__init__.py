"""Record values in Avro and Protobuf, whose schemas are in a schema registry, as the JSON documents that mappings read.

`decoder.py` is the entry. The codecs import fastavro and protobuf, which the extra `callwarden[registry]` installs;
nothing else in the package does. May import what `streams.ingest` may import.
"""
