"""Puts `conf/`, which lies beside the package in a checkout, into the package that is built: `medsam_exp/conf/`.

Everything else about the package stands in pyproject.toml.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONF = Path("conf")
TARGET = Path("medsam_exp") / "conf"


class BuildWithConf(build_py):
    """Copies the configuration files too; an editable install reads them where they lie."""

    def run(self) -> None:
        """Build the package, then add the files that are not within it."""
        super().run()
        if self.editable_mode:
            return
        for source, target in self._conf_files():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target), preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """All files that the build makes."""
        own = [] if self.editable_mode else [str(target) for _, target in self._conf_files()]
        return [*super().get_outputs(include_bytecode), *own]

    def get_source_files(self) -> list[str]:
        """All files that the build reads, for a source distribution."""
        return [*super().get_source_files(), *(str(source) for source, _ in self._conf_files())]

    def _conf_files(self) -> list[tuple[Path, Path]]:
        """(in the checkout, in the build); choices of this checkout alone, `conf/local`, stay here."""
        found = [path for path in sorted(CONF.rglob("*.yaml")) if path.parts[1] != "local"]
        return [(path, Path(self.build_lib) / TARGET / path.relative_to(CONF)) for path in found]


setup(cmdclass={"build_py": BuildWithConf})
