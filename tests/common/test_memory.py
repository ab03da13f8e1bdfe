"""What freed memory becomes, seen in a process of its own, whose allocator nothing else has touched."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import os
from fpg.common.memory import return_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

blocks = [bytearray(os.urandom(100_000)) for _ in range(2000)]
kept = blocks[::50]  # they keep the heap from shrinking
full = resident()
del blocks
freed = resident()
assert return_freed_memory()
print(full, freed, resident())
"""


CYCLES = """
import gc, weakref
from fpg.common.memory import return_freed_memory
gc.disable()
class Node: pass
node = Node()
node.itself = node
seen = weakref.ref(node)
del node
assert seen() is not None
return_freed_memory()
print(seen())
"""


def test_what_hangs_in_cycles_is_collected() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLES], capture_output=True, text=True, check=True)
    assert done.stdout == "None\n"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to give memory back")
def test_holes_between_blocks_in_use_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    full, freed, returned = map(int, done.stdout.split())
    assert full - freed < 20e6  # else this allocator keeps nothing, and the test shows nothing
    assert full - returned > 150e6
