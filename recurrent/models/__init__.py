"""Cells stacked into models: classifiers of sequences, a BiLSTM, a character language model."""

from recurrent.models.bilstm import bilstm
from recurrent.models.char_lm import CharInput, CharLM
from recurrent.models.classifier import SequenceClassifier
from recurrent.models.stack import CellStack, CellType, StackState

__all__ = ["CellStack", "CellType", "CharInput", "CharLM", "SequenceClassifier", "StackState", "bilstm"]
