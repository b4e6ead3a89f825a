"""Maven Central, by exact coordinates: jgo knows where it is, so no address stands in this tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jgo.maven import MavenContext

if TYPE_CHECKING:
    from pathlib import Path

    from headgate_local.artifacts import Artifact

TIMEOUT_S = 60


class MavenCentral:
    """A ``Repository`` over jgo's downloader; its dependency resolution is not used (it differs from Maven's)."""

    def download(self, artifact: Artifact, folder: Path) -> Path:
        """Download one artifact below ``folder``, which must not hold it yet."""
        # local_repos=[]: only what was downloaded now is looked at, not what other tools left on this machine
        context = MavenContext(repo_cache=folder, local_repos=[], timeout=TIMEOUT_S)
        component = context.project(artifact.group, artifact.name).at_version(artifact.version)
        path: Path = component.artifact(artifact.classifier, artifact.packaging).resolve()
        return path
