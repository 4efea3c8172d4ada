"""Translation between A2A 0.3 and 1.0, both ways: pure functions from JSON to JSON, no I/O.

The 0.3 side is JSON as it travels. The 1.0 side is the JSON of our models, so what is read from a 0.3 peer
is validated by them as anything else is. A shape that cannot be translated is a ShapeError (a ValueError).
`card` has agent cards, `json_rpc` and `rest` the two bindings, `shapes` the objects that both carry.
"""
