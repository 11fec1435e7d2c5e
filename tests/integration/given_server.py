"""A MySQL or MariaDB server that the caller of the tests gives, in place of one of our own."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from connectors.mysql.server.session import Login
from streamjobs.options.options import Secret

MYSQL_URL = "MYSQL_URL"
"""Names a server to test against instead of a MariaDB of our own: mysql://root:password@127.0.0.1:3306.

`?tls_ca_file=/path/ca.pem` behind it: by TLS, with the certificate that this authority signed.
"""


def login_of_url(text: str) -> Login:
    """Give how a URL logs in."""
    url = urlsplit(text)
    ca_file = dict(parse_qsl(url.query)).get("tls_ca_file")
    return Login(
        url.hostname or "127.0.0.1",
        url.port or 3306,
        url.username or "root",
        Secret(unquote(url.password or "")),
        tls=ca_file is not None,
        ca_file=ca_file,
        check_host=False,
    )
