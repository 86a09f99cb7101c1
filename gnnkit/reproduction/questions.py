"""The rows of the page: what was asked, and what each report says of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A row.

    Attributes:
        title: In a few words.
        question: In a sentence.
        claims: Report and what it says.
        note: What a reader should know of how it was done here.
    """

    title: str
    question: str
    claims: tuple[tuple[str, str], ...]
    note: str = ""


GROUPS: dict[str, tuple[int, ...]] = {
    "How long is something remembered?": (1, 2, 3, 4, 13, 14, 15, 16, 20),
    "Which number is missing?": (8, 9, 10),
    "Gates, counts and gradients": (17, 23, 24),
    "Texts, character by character": (5, 6, 7, 11, 12, 18, 19, 21, 22),
    "Graphs": (25, 26, 27, 28, 29),
    "Beyond the reports": (30, 31, 32, 33),
}

_TABLES = "text tables, without a figure to compare with"

QUESTIONS: dict[int, Question] = {
    1: Question(
        "RNN on palindromes",
        "How long a palindrome can a plain RNN finish, and what does its initialisation change?",
        (("000", "~1.0 for T ≤ 10; T = 12: one run stuck; T = 20: noisy, .2 to .9; N(0, 1) barely learns"),),
        "Digits go in as raw numbers; RMSProp at 1e-3, 10,000 steps.",
    ),
    2: Question(
        "LSTM on palindromes",
        "How much further does an LSTM remember?",
        (("000", "T = 20: ~1 / .95 / .75; T = 40: ~1 / .6 / .1 over three runs"),),
        "5000 steps; rate .009 at T = 20, .01 at T = 40.",
    ),
    3: Question(
        "Gradients before training",
        "How much of the loss at step 100 reaches the steps before it?",
        (("000", "RNN: falls by × 0.71 a step; LSTM: flat, then falls"),),
    ),
    4: Question(
        "The gradient of a stuck run",
        "Can a run that is stuck be told by its gradient?",
        (("000", "the run stuck at ~.1 accuracy has the lowest gradient"),),
        "The norm of ∂L/∂W_hh before clipping, at every step of row 2's runs of T = 40, the report's, and of T = 20.",
    ),
    5: Question(
        "Grimms' fairy tales",
        "How well does a character model of 2 × 128 units learn a book?",
        (("000", "training accuracy .64 after 5000 steps"),),
        "The licence is stripped first; accuracy is that of training batches, mean of the last 100.",
    ),
    6: Question("Samples of Grimm", "What does it write, early and late, cold and hot?", (("000", _TABLES),)),
    7: Question("Beam search", "Does beam search find likelier text?", (("000", "asked, left empty"),)),
    8: Question(
        "LSTM, the missing number",
        "How many batches until an LSTM finds the missing one of N numbers every time?",
        (("001", "25.0 ± 2.2 / 124.7 ± 15.1 / 544.7 ± 71.0 batches for N = 5 / 10 / 15; accuracy 1.0"),),
        "Counted to three evaluations in a row at 100 % of 4096 samples. The report does not say how weights start; "
        "ours start from N(0, 1 / fan_in), chosen after a look at the outcome.",
    ),
    9: Question(
        "BiLSTM, the missing number",
        "Does reading from both ends help?",
        (("001", "18.3 ± .5 / 80.7 ± 12.4 / 298.3 ± 21.5 batches for N = 5 / 10 / 15"),),
    ),
    10: Question(
        "An embedding of dimension 1",
        "What if each number is embedded as a single number?",
        (("001", "hard to converge"),),
    ),
    11: Question(
        "A large character model",
        "How well do 2 × 1024 units learn Bartleby and the Python tutorial?",
        (("001", "84.22 % and 74.84 % training accuracy after 7500 steps"),),
    ),
    12: Question("Samples of row 11", "What does it write, and how does it complete a sentence?", (("001", _TABLES),)),
    13: Question(
        "RNN and LSTM, report 002",
        "Where do both still get every palindrome right?",
        (("002", "LSTM 1.0 to T = 20, RNN 1.0 to T = 13; no other numbers"),),
    ),
    14: Question(
        "RNN by length",
        "At which length does the RNN break down?",
        (("003", "≥ 90 % to T = 25; ≤ 30 % from T = 30"),),
    ),
    15: Question(
        "LSTM by length and rate",
        "At which length does the LSTM break down, and is it the rate's fault?",
        (("003", "≥ 90 % to T = 50; fails at 75 and 100; T = 75: 100 % at ten times the rate"),),
        "Row 33 has the LSTM with a forget bias of 1.",
    ),
    16: Question(
        "RNN against LSTM",
        "Which learns faster at each length?",
        (("003", "the LSTM is ahead on all but the shortest"),),
        "Accuracy is that of fresh training batches: its mean over all steps, and over the last 1000. Row 33 has the "
        "LSTM with a forget bias of 1.",
    ),
    17: Question(
        "The temporal gate",
        "When may a unit of a Phased LSTM change?",
        (("003", "a schematic and three plots: τ, s and r_on varied"),),
    ),
    18: Question(
        "The Bill of Rights",
        "What does a temperature inside training do?",
        (("003", "clean samples from step 500; temperatures .5, 1, 1.5, 2 give different texts"),),
    ),
    19: Question("Prompts", "How does it go on from a letter, and from half a sentence?", (("003", _TABLES),)),
    20: Question(
        "RNN and LSTM, report 004",
        "Does a lower rate help the LSTM at long lengths?",
        (("004", "RNN good past 20; LSTM 10 to 15, then above chance at 30 and more with the lower rate"),),
    ),
    21: Question(
        "A Finnish text",
        "How does accuracy grow over 100,000 steps?",
        (("004", ".42 / .61 / .66 / .71 / .74 / .77 at 1k / 5k / 10k / 25k / 50k / 100k steps"),),
        "The report's novel is private; this is the Kalevala. The report's last two points, at 500,000 and a million "
        "steps, are cut.",
    ),
    22: Question("Samples of row 21", "What does it write by step, temperature and width?", (("004", _TABLES),)),
    23: Question(
        "Parameter counts",
        "How many parameters has each cell?",
        (
            ("all", "4(nd + n² + n) for the LSTM, on + o for the output map"),
            ("001", "the LSTM's count without recurrent weights"),
            ("003", "o n + n for the output map"),
        ),
        "torch keeps two biases per gate, which only add up: 4n numbers more for an LSTM.",
    ),
    24: Question(
        "Analytic gradients",
        "Are ∂L/∂W_ph and ∂L/∂W_hh right as derived by hand?",
        (
            ("000, 002, 004", "y − ŷ where it is ŷ − y"),
            ("000, 003, 004", "∂h/∂W_hh element by element"),
        ),
    ),
    25: Question(
        "Hops and updates",
        "How many updates until node C has influenced node E?",
        (("000, 001, 004", "3 or 4, by the figure that the year had"), ("002", "two edges")),
        "A message moves one edge an update, so as many updates, and layers, as hops.",
    ),
    26: Question(
        "Weighted self-loops",
        "How much should a node listen to itself?",
        (("001", "A + λI proposed, not tried"),),
        "Zachary's karate club, 200 epochs, accuracy on the members whose side is not given.",
    ),
    27: Question(
        "Graph attention",
        "What does learning whom to listen to change?",
        (("001", "eq. (4), described"),),
    ),
    28: Question(
        "Applications",
        "What are graph networks used for?",
        (("001, 002", "link prediction (polypharmacy), document graphs (TextGCN), re-identification, TSP: cited"),),
        "Link prediction is run here on a made-up graph: 150 drugs, 240 proteins, four side effects of drug pairs, of "
        "which a tenth is known. Two applications are explained and cited only. Re-identification: the pictures of a "
        "gallery are nodes, edges join those that look alike, and a graph network refines the similarity of a query "
        "to all of them together (Shen et al., “Person Re-identification with Deep Similarity-Guided Graph Neural "
        "Network”, ECCV 2018). The decision TSP: is there a tour of length at most C? Edges of a complete graph hold "
        "their length and C, messages pass between edges and cities, and a vote of the edges says yes or no (Prates "
        "et al., “Learning to Solve NP-Complete Problems”, AAAI 2019). Neither needs anything of a layer that the "
        "rows here do not.",
    ),
    29: Question(
        "Recurrent and graph networks together",
        "What if the nodes are sequences, or their values change over time?",
        (
            ("001", "text nodes in a citation network; graphs that change over time"),
            ("002, 004", "Graph LSTM (Liang et al. 2016), Tree-LSTM (Tai et al. 2015)"),
        ),
        "Values carried along a ring with chords: a node's own past says next to nothing, so that the graph decides.",
    ),
    30: Question(
        "The missing number, faster",
        "How far can the batches of rows 8 and 9 be cut by settings that do not know the task?",
        (
            ("001", "LSTM 25.0 ± 2.2 / 124.7 ± 15.1 / 544.7 ± 71.0 batches, with its own settings (row 8)"),
            ("001", "BiLSTM 18.3 ± .5 / 80.7 ± 12.4 / 298.3 ± 21.5 batches (row 9)"),
        ),
        "An embedding of 64, weights from N(0, 1 / fan_in), forget bias 1, Adam at 1e-2; found on seeds from 100 on.",
    ),
    31: Question(
        "Palindromes, longer",
        "Can LSTM and GRU get past the lengths at which report 003 saw the LSTM fail?",
        (("003", "≥ 90 % to T = 50; fails at T = 75 and 100, with its own settings (row 15)"),),
        "An embedding of 64, weights from N(0, 1 / fan_in), forgetting times spread up to T (Tallec and Ollivier, "
        "2018), Adam at 2e-3: general remedies, none of which knows what a palindrome is; found on seed 0, the GRU at "
        "T = 300 and both at 100. A run stops after three evaluations in a row at 100 %, or after 1500 batches. The "
        "latch knows that one sign is to be held, and is not counted.",
    ),
    32: Question(
        "Hundreds of steps",
        "Copy memory over 500 steps and adding over 750: the field's own tests of long memory.",
        (("Arjovsky et al. 2016", "an LSTM does not get past guessing in copy memory over 500 steps (fig. 1)"),),
        "The orthogonal RNN (Lezcano-Casado and Martínez-Rubio 2019) keeps the length of its state and its gradient; "
        "the gates of the minGRU (Feng et al. 2024) see the input alone, so that it skips what is not marked at once.",
    ),
    33: Question(
        "A forget bias of 1",
        "Is it the LSTM that cannot remember, or how its gates start?",
        (
            (
                "003",
                "LSTM ≥ 90 % to T = 50; fails at 75 and 100; T = 75: 100 % at ten times the rate; ahead of the RNN on "
                "all but the shortest",
            ),
        ),
        "No report says how its biases start. Here they start at 0, so that half of the cell is forgotten at each step "
        "(row 3), and the LSTM does not get past T = 15 (row 16). Gers et al. (2000) advise a positive forget bias, "
        "Jozefowicz et al. (2015) one of 1; all else is the same.",
    ),
}
