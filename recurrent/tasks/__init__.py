"""Tasks that ask for memory of a known length, drawn without end."""

from recurrent.tasks.adding import Adding
from recurrent.tasks.baum_sweet import BaumSweet
from recurrent.tasks.combinations import RandomCombinations
from recurrent.tasks.copy_memory import CopyMemory
from recurrent.tasks.palindromes import BinaryPalindromes, Palindromes
from recurrent.tasks.task import Batch, Encoding, Task, TaskStream

__all__ = [
    "Adding",
    "Batch",
    "BaumSweet",
    "BinaryPalindromes",
    "CopyMemory",
    "Encoding",
    "Palindromes",
    "RandomCombinations",
    "Task",
    "TaskStream",
]
