"""Data sets: by name, from a user's files, from PyG; splits; downloads."""

from gnnkit.data.arrays import identity_features, row_normalized
from gnnkit.data.datasets import load_dataset
from gnnkit.data.documents import Documents, document_graph, load_r8, read_documents
from gnnkit.data.download import DownloadError, FileStatus, download_dataset, verify_dataset
from gnnkit.data.graph_folder import read_folder
from gnnkit.data.link_splits import LinkSplit, split_links
from gnnkit.data.neighbor_loader import BlockBatch, BlockLoader, NeighborLoader
from gnnkit.data.node_data import NodeData
from gnnkit.data.registry import DATASETS, DatasetInfo, data_root, dataset_info
from gnnkit.data.splits import Split, random_split, stratified_split
from gnnkit.data.user_graph import read_node_data

__all__ = [
    "DATASETS",
    "BlockBatch",
    "BlockLoader",
    "DatasetInfo",
    "Documents",
    "DownloadError",
    "FileStatus",
    "LinkSplit",
    "NeighborLoader",
    "NodeData",
    "Split",
    "data_root",
    "dataset_info",
    "document_graph",
    "download_dataset",
    "identity_features",
    "load_dataset",
    "load_r8",
    "random_split",
    "read_documents",
    "read_folder",
    "read_node_data",
    "row_normalized",
    "split_links",
    "stratified_split",
    "verify_dataset",
]
