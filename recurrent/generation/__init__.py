"""What a trained character model writes: sampling, beam search, scores of given text."""

from recurrent.generation.beam import Beam, beam_search
from recurrent.generation.config import SENTENCE_ENDS, GenerationConfig
from recurrent.generation.generate import Character, Generation, generate, stream
from recurrent.generation.sampling import Sampling, draw, filtered
from recurrent.generation.scoring import Scored, score, surprise
from recurrent.generation.stepping import StepModel, advance, prefill

__all__ = [
    "SENTENCE_ENDS",
    "Beam",
    "Character",
    "Generation",
    "GenerationConfig",
    "Sampling",
    "Scored",
    "StepModel",
    "advance",
    "beam_search",
    "draw",
    "filtered",
    "generate",
    "prefill",
    "score",
    "stream",
    "surprise",
]
