import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from gnnkit.plots import embedding, principal_components, save_figure


def test_components_against_scikit_learn():
    vectors = np.random.default_rng(0).normal(size=(50, 6)) * [5, 1, 3, 1, 1, 2] + 7
    scores, shares = principal_components(vectors, 3)
    reference = PCA(3, svd_solver="full").fit(vectors)
    expected = reference.transform(vectors)
    signs = np.sign((scores * expected).sum(axis=0))  # theirs follow another rule
    np.testing.assert_allclose(scores, expected * signs, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, rtol=1e-10)


def test_the_sign_is_settled():
    vectors = np.random.default_rng(1).normal(size=(30, 4))
    scores, _ = principal_components(vectors)
    loadings = (vectors - vectors.mean(axis=0)).T @ scores
    assert (loadings[np.abs(loadings).argmax(axis=0), [0, 1]] > 0).all()
    shuffled = np.random.default_rng(2).permutation(30)
    np.testing.assert_allclose(principal_components(vectors[shuffled])[0], scores[shuffled], atol=1e-10)


@pytest.mark.parametrize("vectors", [np.ones((3, 4)), np.ones((1, 5)), np.arange(6.0).reshape(6, 1)], ids=str)
def test_what_has_fewer_dimensions_is_padded_with_zeros(vectors):
    scores, shares = principal_components(vectors)
    assert scores.shape == (len(vectors), 2)
    np.testing.assert_allclose(scores[:, 1], 0, atol=1e-12)
    assert np.isfinite(shares).all()


def drawn_colours(figure):
    return {tuple(point) for each in figure.axes[0].collections for point in each.get_facecolors()[:, :3].round(3)}


def test_classes_have_colours_and_names(tmp_path):
    vectors = torch.randn(40, 3, requires_grad=True)
    labels = torch.arange(40) % 4 - 1  # one of them unknown
    figure = embedding(
        vectors, labels, class_names=["a", "b $x_1$", "c" * 50], title="<&>", names=[str(i) for i in range(40)]
    )
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["unknown", "a", "b $x_1$", "c" * 27 + "…"]
    assert len(drawn_colours(figure)) == 4
    assert sum(len(each.get_offsets()) for each in figure.axes[0].collections) == 40
    save_figure(figure, tmp_path / "e.png")


def test_every_point_lies_where_its_class_says():
    vectors = np.random.default_rng(3).normal(size=(60, 5))
    labels = np.arange(60) % 9  # more classes than colours, so two markers
    scores, _ = principal_components(vectors)
    figure = embedding(vectors, labels)
    legend = figure.axes[0].get_legend()
    shown = {}
    from matplotlib.colors import to_rgb

    for group in figure.axes[0].collections:
        for (x, y), face in zip(group.get_offsets(), group.get_facecolors(), strict=True):
            shown[(round(x, 9), round(y, 9))] = tuple(face[:3].round(3))
    for handle, name in zip(legend.legend_handles, legend.get_texts(), strict=True):
        index = int(name.get_text().removeprefix("class "))
        for x, y in scores[labels == index]:
            assert shown[(round(x, 9), round(y, 9))] == tuple(np.round(to_rgb(handle.get_color()), 3))


def test_without_labels_there_is_no_legend():
    assert embedding(np.eye(3)).axes[0].get_legend() is None


@pytest.mark.parametrize(
    ("vectors", "keywords", "message"),
    [
        (np.ones(3), {}, r"must have shape \(N, F\), neither zero, got \(3,\)"),
        (np.ones((0, 3)), {}, r"got \(0, 3\)"),
        ([[1.0, np.nan], [1, 2]], {}, "NaN or infinity in 1 of 2 rows"),
        (np.eye(3), {"labels": [0, 1]}, "lengths differ: vectors 3, labels 2"),
        (np.eye(3), {"labels": [0.5, 1, 2]}, "must be whole numbers of shape .*got float64"),
        (np.eye(3), {"labels": [0, 1, 2], "class_names": ["a"]}, "has 1 names, but a label is 2"),
        (np.eye(3), {"names": ["a"]}, "lengths differ: vectors 3, names 1"),
    ],
)
def test_what_cannot_be_drawn_is_named(vectors, keywords, message):
    with pytest.raises(ValueError, match=message):
        embedding(vectors, **keywords)
