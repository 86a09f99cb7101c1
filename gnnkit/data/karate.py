"""Zachary's karate club, small enough to be part of the program.

34 members, 78 friendships, four communities found by modularity; the data of PyG's ``KarateClub`` and of
Kipf & Welling's appendix A, where one labelled node per community is enough for a GCN to find the rest.

Reference: Zachary, "An Information Flow Model for Conflict and Fission in Small Groups", 1977,
https://www.journals.uchicago.edu/doi/abs/10.1086/jar.33.4.3629752.
"""

NUM_MEMBERS = 34

# Each member's friends of a higher number.
_FRIENDS = {
    0: (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31),
    1: (2, 3, 7, 13, 17, 19, 21, 30),
    2: (3, 7, 8, 9, 13, 27, 28, 32),
    3: (7, 12, 13),
    4: (6, 10),
    5: (6, 10, 16),
    6: (16,),
    8: (30, 32, 33),
    9: (33,),
    13: (33,),
    14: (32, 33),
    15: (32, 33),
    18: (32, 33),
    19: (33,),
    20: (32, 33),
    22: (32, 33),
    23: (25, 27, 29, 32, 33),
    24: (25, 27, 31),
    25: (31,),
    26: (29, 33),
    27: (33,),
    28: (31, 33),
    29: (32, 33),
    30: (32, 33),
    31: (32, 33),
    32: (33,),
}

KARATE_EDGES: tuple[tuple[int, int], ...] = tuple(
    (member, friend) for member, friends in _FRIENDS.items() for friend in friends
)

KARATE_LABELS: tuple[int, ...] = (
    1, 1, 1, 1, 3, 3, 3, 1, 0, 1, 3, 1, 1, 1, 0, 0, 3,
    1, 0, 1, 0, 1, 0, 0, 2, 2, 0, 0, 2, 0, 0, 2, 0, 0,
)  # fmt: skip

# The first member of each community.
KARATE_TRAINING_NODES: tuple[int, ...] = (0, 4, 8, 24)
