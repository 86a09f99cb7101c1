import subprocess
import sys

CODE = """
import pkgutil, importlib, sys, gnnkit.storage
names = [module.name for module in pkgutil.iter_modules(gnnkit.storage.__path__, "gnnkit.storage.")]
for name in names:
    importlib.import_module(name)
print(len(names), [name for name in ("numpy", "torch", "scipy", "gnnkit.graph", "gnnkit.runs") if name in sys.modules])
"""


def test_the_lowest_package_loads_the_standard_library_alone():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60)
    count, loaded = done.stdout.split(maxsplit=1)
    assert int(count) >= 7
    assert loaded.strip() == "[]"
