"""The HTTP API: parsing, rendering and access; the work itself is `pipeline`, `matching` and `store`."""
