from recurrent.models.bilstm import bilstm
from recurrent.models.classifier import SequenceClassifier
from recurrent.models.stack import CellStack, CellType, StackState

__all__ = ["CellStack", "CellType", "SequenceClassifier", "StackState", "bilstm"]
