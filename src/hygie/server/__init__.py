"""The HTTPS server under every face: TLS that reloads without a restart, and limits against slow or greedy clients.

``certificates`` makes the machine's own certificate, ``tls`` keeps a live context, ``protocol`` bounds each
connection, ``server`` runs an ASGI application on sockets that several processes share.
"""
