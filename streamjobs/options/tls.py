"""The TLS context of the TLS options that stores share."""

from __future__ import annotations

import ssl

from streamjobs.errors import ConfigError
from streamjobs.options.options import Options


def tls_context(options: Options, where: str) -> ssl.SSLContext:
    """Return the TLS context for `tlsCa`, `tlsCert`, `tlsKey` and `tlsInsecure`; it verifies all by default.

    `where` names the table in errors. Raises ConfigError when a file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=options.text_or_none("tlsCa"))
        if (certificate := options.text_or_none("tlsCert")) is not None:
            context.load_cert_chain(certificate, options.text_or_none("tlsKey"))
    except OSError as exc:  # an ssl.SSLError is one
        files = "cannot read the certificates that 'tlsCa', 'tlsCert', 'tlsKey' name"
        message = f"{where}: {files}; they cannot be used: {exc}"
        raise ConfigError(message) from exc
    if options.flag("tlsInsecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
