"""Beyond one machine: training under torchrun, hops on Apache Spark.

Nothing is imported here: each engine loads what it needs, and only when it is asked for.
"""
