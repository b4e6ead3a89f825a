"""Maven Central, by exact coordinates: jgo knows where it is, so no address stands in this tree."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jgo.maven import MavenContext, PythonResolver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from headgate_local.artifacts import Artifact

TIMEOUT_S = 60


class MavenCentral:
    """A ``Repository`` over jgo's downloader; its dependency resolution is not used (it differs from Maven's)."""

    def download(self, artifact: Artifact, folder: Path, received: Callable[[int], None]) -> Path:
        """Download one artifact below ``folder``, which must not hold it yet."""

        @contextmanager
        def follow(_filename: str, _size: int) -> Iterator[Callable[[int], None]]:
            yield received

        resolver = PythonResolver(progress_callback=follow)
        # local_repos=[]: only what was downloaded now is looked at, not what other tools left on this machine
        context = MavenContext(resolver=resolver, repo_cache=folder, local_repos=[], timeout=TIMEOUT_S)
        component = context.project(artifact.group, artifact.name).at_version(artifact.version)
        path: Path = component.artifact(artifact.classifier, artifact.packaging).resolve()
        return path
