"""Content Credentials, signed here with certificates made here: signed, broken, none; trusted or not; nothing fetched."""

from __future__ import annotations

import datetime
import json
import socket
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from judging import BrightnessEngine, GreenAnalyzer, face_image, save
from PIL import Image
from schemas import check_output

import fpg.cli.detect as detect
from fpg.record.c2pa import NOTE, read_credentials

c2pa = pytest.importorskip("c2pa")
x509 = pytest.importorskip("cryptography.x509")


class Signing(NamedTuple):
    signer: Any
    root: str
    """Certificate of the authority, PEM."""


def _name(common: str) -> Any:
    from cryptography.x509.oid import NameOID

    parts = [(NameOID.ORGANIZATION_NAME, "Tests of fpg"), (NameOID.COMMON_NAME, common)]
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def signing() -> Signing:
    """An authority and a signer that it vouches for, both new."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = datetime.datetime.now(datetime.timezone.utc)
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(common: str, key: Any, *, root: bool) -> Any:
        usage = [False] * 9
        usage[0] = True
        usage[5] = usage[6] = root
        builder = (
            x509.CertificateBuilder(_name("Root"), _name(common), key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(root, None), True)
            .add_extension(x509.KeyUsage(*usage), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False)
        )
        if not root:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        return builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, leaf = certificate("Root", authority, root=True), certificate("Signer 7", own, root=False)
    key = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Signing(c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", leaf + root, key, None)), root.decode())


MANIFEST = {
    "claim_generator_info": [{"name": "a camera of tests", "version": "2"}],
    "assertions": [
        {
            "label": "c2pa.actions",
            "data": {
                "actions": [
                    {
                        "action": "c2pa.created",
                        "softwareAgent": "firmware 1",
                        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
                    }
                ]
            },
        }
    ],
}


class Files(NamedTuple):
    plain: Path
    signed: Path
    broken: Path
    root: str


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("c2pa")
    plain, signed, broken = (folder / f"{name}.jpg" for name in ("plain", "signed", "broken"))
    noise = np.random.default_rng(3).integers(0, 90, (48, 64, 3), np.uint8)
    Image.fromarray(np.maximum(face_image(230), noise)).save(plain, quality=95)
    made = signing()
    c2pa.Builder(json.dumps(MANIFEST)).sign_file(str(plain), str(signed), made.signer)
    data = bytearray(signed.read_bytes())
    data[-40] ^= 1
    broken.write_bytes(data)
    return Files(plain, signed, broken, made.root)


def test_signed_broken_and_none_are_told_apart(files: Files) -> None:
    plain, signed, broken = (read_credentials(path) for path in files[:3])
    assert (plain.state, plain.signer, plain.actions) == ("absent", None, ())
    assert (signed.state, signed.trusted, signed.signer) == ("present", None, "Signer 7, Tests of fpg")
    assert signed.generator == "a camera of tests 2"
    assert signed.actions == ({"action": "c2pa.created", "when": None, "software": "firmware 1", "source": "digitalCapture"},)
    assert broken.state == "invalid"
    assert "assertion.dataHash.mismatch" in broken.problems
    assert plain.note == signed.note == NOTE
    assert "absence proves nothing" in NOTE


def test_only_those_are_trusted_whom_the_reader_trusts(files: Files) -> None:
    assert read_credentials(files.signed, files.root).trusted is True
    stranger = read_credentials(files.signed, signing().root)
    assert (stranger.state, stranger.trusted) == ("present", False)
    assert read_credentials(files.broken, files.root).state == "invalid"


def test_damage_never_fails_and_never_passes_for_signed(files: Files, tmp_path: Path, rng: np.random.Generator) -> None:
    whole, pixels = files.signed.read_bytes(), files.plain.stat().st_size - 1000
    path = tmp_path / "a.jpg"
    for number in range(40):
        data = bytearray(whole)
        # Of what the signature is about; the manifest itself has padding, where a change changes nothing.
        at = int(rng.integers(len(data) - pixels, len(data))) if number % 2 else int(rng.integers(len(data)))
        data[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(data)
        found = read_credentials(path)
        assert found.state == "invalid" or number % 2 == 0, at
    path.write_bytes(whole[: len(whole) // 2])
    assert read_credentials(path).state != "present"


def test_other_formats_carry_none(tmp_path: Path) -> None:
    for name, data in {"a.mkv": b"\x1aE\xdf\xa3" + bytes(100), "a.bmp": b"BM" + bytes(100), "a": b"x", "empty.jpg": b""}.items():
        (tmp_path / name).write_bytes(data)
        assert read_credentials(tmp_path / name).state == "absent", name


def test_the_score_knows_nothing_of_them_and_nothing_is_fetched(
    files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(detect, "load_engine", lambda path, **options: BrightnessEngine())
    monkeypatch.setattr(detect, "default_analyzer", GreenAnalyzer)

    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    anchors = tmp_path / "root.pem"
    anchors.write_text(files.root)
    image = face_image(230)
    for name in ("signed.png", "plain.png"):
        save(tmp_path / "in" / name, image)
    made = signing()
    (tmp_path / "in" / "signed.png").unlink()
    c2pa.Builder(json.dumps(MANIFEST)).sign_file(str(tmp_path / "in" / "plain.png"), str(tmp_path / "in" / "signed.png"), made.signer)
    anchors.write_text(made.root)
    out, page = tmp_path / "o.json", tmp_path / "o.html"
    code = detect.main(["m.xml", str(tmp_path / "in"), "--json", str(out), "--report", str(page), "--c2pa-anchors", str(anchors)])
    assert code == 0
    value = json.loads(out.read_text())
    check_output(value)
    plain, signed = value["results"]
    assert [r["c2pa"]["state"] for r in (plain, signed)] == ["absent", "present"]
    assert signed["c2pa"]["trusted"] is True
    assert plain["score"] == signed["score"]
    text = page.read_text()
    assert "signed by Signer 7, Tests of fpg, whose certificate is trusted, unchanged since" in text
    assert "Their absence proves nothing" in text
    for bad in ("", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        anchors.write_text(bad)
        assert detect.main(["m.xml", str(tmp_path / "in"), "--c2pa-anchors", str(anchors)]) in (1, 2), bad
        assert "root.pem: holds no certificate" in capsys.readouterr().err
