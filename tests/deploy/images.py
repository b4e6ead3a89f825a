"""The images: they build, their Dockerfiles are clean, and what is in them is what the lock files say."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from tests.deploy.docker import IMAGES, image, inspect, require_engine, version
from tests.deploy.tools import ROOT, ToolError, run

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCKERFILES: Final = (
    *(f"services/{name}/Dockerfile" for name in IMAGES if name != "demo"),
    "deploy/local/Dockerfile",
)
LOCKED: Final = {"demo": "local"}
SERVING: Final = frozenset(IMAGES) - {"admin", "demo"}
DECODING: Final = ("writer", "processor")
USER: Final = "10001:10001"
BUILD_TIMEOUT_S: Final = 3_600.0
_PIN: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
_DECODER: Final = "from headgate_runtime.native import installed_decoder; print(installed_decoder()[0])"
_console = Console()


def check() -> dict[str, float]:
    """Build all images and look at them; sizes are unpacked."""
    require_engine()
    run("make", "images", timeout_s=BUILD_TIMEOUT_S)
    run("make", "sbom", timeout_s=BUILD_TIMEOUT_S)
    problems = {
        "hadolint": _hadolint(),
        "configuration": [problem for name in IMAGES for problem in _configuration(name)],
        "contents": [problem for name in IMAGES for problem in _contents(name)],
        "native_decoder": [problem for name in DECODING for problem in _native_decoder(name)],
    }
    for found in problems.values():
        for problem in found:
            _console.print(problem, style="red", highlight=False, markup=False)
    sizes = {f"{name}_mb": round(inspect(image(name))["Size"] / 1e6) for name in IMAGES}
    return {name: float(not found) for name, found in problems.items()} | sizes


def _hadolint() -> list[str]:
    try:
        run(str(ROOT / ".venv/bin/hadolint"), *DOCKERFILES)
    except ToolError as error:
        return [str(error)]
    return []


def _configuration(name: str) -> Iterator[str]:
    """How a container of the image runs: never as root, never through a shell, and its health can be asked."""
    config: dict[str, Any] = inspect(image(name))["Config"]
    labels = config["Labels"] or {}
    health = (config.get("Healthcheck") or {}).get("Test", [])
    wanted = "CMD" if name in SERVING else "NONE"
    if config["User"] != USER:
        yield f"{name}: runs as {config['User']!r}, not as {USER}"
    if config["Entrypoint"][0] not in {"python", "headgate"}:
        yield f"{name}: its entry point {config['Entrypoint']} is no program of ours: signals would not reach it"
    if health[:1] != [wanted]:
        yield f"{name}: its health check is {health}, not of the form {wanted}"
    if labels.get("org.opencontainers.image.version") != version():
        yield f"{name}: its label says version {labels.get('org.opencontainers.image.version')!r}"


def _contents(name: str) -> Iterator[str]:
    """Hold an image's bill of materials against its lock file."""
    bill = json.loads((ROOT / f"build/sbom/{name}.json").read_text("utf-8"))
    packages = [each for each in bill["components"] if each.get("purl", "").startswith("pkg:pypi/")]
    found = {_normal(each["name"]): each["version"] for each in packages}
    locks = [f"requirements/{LOCKED.get(name, name)}.txt", *(["requirements/demo.txt"] if name == "demo" else [])]
    pins = {_normal(pin): at for lock in locks for pin, at in _PIN.findall((ROOT / lock).read_text("utf-8"))}
    for package, at in found.items():
        if package.startswith("headgate-") and at != version():
            yield f"{name}: {package} {at} is not of this version"
        elif package in pins and pins[package] != at:
            yield f"{name}: {package} is {at}, and the lock file says {pins[package]}"
    own = f"headgate-{LOCKED.get(name, name)}"
    if own not in found:
        yield f"{name}: {own} is not in it"
    # what a lock file has for other platforms alone is missing by right, and is little
    if len(found.keys() & pins.keys()) < len(pins) * 0.8:
        yield f"{name}: of {len(pins)} locked packages only {len(found.keys() & pins.keys())} are in it"


def _native_decoder(name: str) -> Iterator[str]:
    """Whether an image decodes by native code, confined as it runs."""
    confined = ("--rm", "--read-only", "--network", "none", "--cap-drop", "ALL", "--tmpfs", "/tmp")  # noqa: S108 - the container's
    said = run("docker", "run", *confined, "--entrypoint", "python", image(name), "-c", _DECODER).strip()
    if not said.startswith("native "):
        yield f"{name}: decodes by {said}"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
