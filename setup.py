"""The package; tools are configured in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

VERSION = next(
    line.split('"')[1]
    for line in Path(__file__).with_name("handler").joinpath("__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="cluster-handler",
    version=VERSION,
    description="Small private cluster for ordinary compose applications with data",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["handler", "handler.*"]),
    package_data={"handler": ["py.typed"]},
    install_requires=[
        "py-consul>=1.8",
        "docker>=7.1",
        "PyYAML>=6.0.1",
        "Jinja2>=3.1.2",
        "sh>=2.0",
        "GitPython>=3.1.40",
    ],
    extras_require={
        "test": ["pytest>=8", "hypothesis>=6.100", "requests>=2.31", "greenlet>=3"],
        "check": ["ruff>=0.6", "mypy>=1.10", "import-linter>=2.0", "types-PyYAML", "types-requests", "types-docker"],
    },
    entry_points={"console_scripts": ["handler=handler.cli:main", "cluster=handler.operator:main"]},
)
