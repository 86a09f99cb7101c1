"""Files at their lowest: written whole or not at all, read without trust, named harmlessly.

Everything here works on the standard library alone; what hands out arrays imports numpy when it is called.
"""
