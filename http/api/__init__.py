"""What fronts are made of, and how a request becomes an answer: routes, decoding, limits, OpenAPI. No sockets."""
