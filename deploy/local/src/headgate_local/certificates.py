"""A certificate authority of one data folder, and certificates by it: made where they are not there yet."""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from headgate_local.folder import write_whole
from headgate_local.ports import HOST

if TYPE_CHECKING:
    from pathlib import Path

_VALID: Final = dt.timedelta(days=365)
_SKEW: Final = dt.timedelta(minutes=5)
_SECRET: Final = 0o600


class Authority:
    """Signs what one stack needs; its key never leaves the folder.

    Attributes:
        certificate: The authority's certificate, for those that have to trust it.
    """

    def __init__(self, folder: Path) -> None:
        """Take the authority of a folder, and make it where there is none."""
        self.certificate = folder / "ca.pem"
        self._folder = folder
        self._key_file = folder / "ca.key"
        if not self.certificate.exists():
            self._make()
        self._key = _read_key(self._key_file)
        self._name = x509.load_pem_x509_certificate(self.certificate.read_bytes()).subject

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return files with a certificate of that name and with its key; it serves this machine, and clients.

        Args:
            name: Common name, which is the principal of a client.
        """
        certificate_file, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        if certificate_file.exists():
            return certificate_file, key_file
        key = ec.generate_private_key(ec.SECP256R1())
        addresses: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address(HOST)),
        ]
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signed = (
            _draft(_named(name), self._name, key)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        _write_key(key_file, key)
        write_whole(certificate_file, signed.public_bytes(Encoding.PEM).decode())
        return certificate_file, key_file

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, name = ec.generate_private_key(ec.SECP256R1()), _named("Headgate local authority")
        signed = (
            _draft(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_key(self._key_file, key)
        write_whole(self.certificate, signed.public_bytes(Encoding.PEM).decode())


def _draft(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _VALID)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path} is no key of an elliptic curve")
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    write_whole(path, text, mode=_SECRET)
