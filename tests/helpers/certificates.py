"""Certificates that sign themselves."""

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str = "service", *more: str) -> tuple[Path, Path]:
    """The PEM files of a new certificate for 127.0.0.1, and of its key. ``more``: options of `openssl req`."""
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    names = ("-subj", "/CN=service", "-addext", "subjectAltName=IP:127.0.0.1")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", *names, *(more or ("-nodes",)))
    subprocess.run([*new, "-keyout", key, "-out", pem], check=True, capture_output=True)
    return pem, key
