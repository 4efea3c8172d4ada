"""The gRPC binding (specification section 10): server and client. Needs the extra `grpc`.

The messages in `generated` are made from a2a.proto when the package is built.
"""

try:
    # All of them here, so that whatever is missing is said once and in the same words.
    import google.rpc  # noqa: F401
    import grpc  # noqa: F401
    import grpc_health  # noqa: F401
except ImportError as exc:
    raise ImportError("gRPC needs packages of its own: install parley[grpc]") from exc
