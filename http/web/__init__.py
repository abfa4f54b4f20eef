"""The pages: the start page that lists the APIs, and one per front with all of it and a form to try each endpoint.

Each is one HTML document with its own style and script inside, allowed by their digests: no other file, no other
server, and it works under any path of a proxy. They are rendered from the OpenAPI document, so they say what it says.
"""
