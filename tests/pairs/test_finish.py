"""What changes finished pairs (donor, retexture, degrade): drawn by key, alike for real and fake, and off by default."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_faces import face, face_landmarks, photograph
from one_pair import FIELDS, one_pair

from fpg.common.errors import UsageError
from fpg.common.rng import stream
from fpg.pairs import AugmentConfig, SelfBlend, draw_pair
from fpg.pairs.degrade import DegradeConfig, degrade, draw_degradation
from fpg.pairs.distract import DistractConfig
from fpg.pairs.donor import DonorConfig, DonorFace, blend_donor, choose_donor, draw_donor
from fpg.pairs.draws import FINISHING
from fpg.pairs.finish import finish_pair
from fpg.pairs.plan import plan_pair
from fpg.pairs.poisson import PoissonConfig
from fpg.pairs.retexture import KINDS, RetextureConfig, draw_retexture, retexture

SIZE = 96
ALL = AugmentConfig(
    donor=DonorConfig(probability=1.0),
    retexture=RetextureConfig(probability=1.0),
    poisson=PoissonConfig(probability=1.0),
    distract=DistractConfig(probability=1.0),
    degrade=DegradeConfig(probability=1.0),
)
NONE = {"donor": None, "retexture": None, "poisson": False, "distractors": None, "degradation": None}


def test_off_by_default_and_then_the_draws_of_a_pair_are_those_of_the_method() -> None:
    plain = draw_pair(stream(3, "pair", 0, 1))
    assert not plain.finishing
    assert not AugmentConfig().finishing
    options = draw_pair(stream(3, "pair", 0, 1), ALL)
    assert dataclasses.replace(options, **NONE) == plain
    for section in FINISHING:
        one = AugmentConfig(**{section: getattr(ALL, section)})
        assert one.finishing, section
        assert draw_pair(stream(3, "pair", 0, 1), one).finishing, section


def test_an_option_that_is_off_shifts_no_draw_of_those_that_were_there_before() -> None:
    """Runs that were made with some of the options can be made again."""
    before = ("donor", "retexture", "degrade")
    some = draw_pair(stream(3, "pair", 0, 1), AugmentConfig(**{section: getattr(ALL, section) for section in before}))
    options = draw_pair(stream(3, "pair", 0, 1), ALL)
    assert dataclasses.replace(options, poisson=False, distractors=None) == some


@pytest.mark.parametrize("seed", range(6))
def test_degradation_is_the_same_for_equal_images_and_depends_on_nothing_else(seed: int) -> None:
    params = draw_degradation(np.random.default_rng(seed), DegradeConfig(probability=1.0, video_probability=0.0))
    assert params is not None
    image = photograph(seed)[:160, :160]
    first, second = degrade([image, image.copy()], params)
    assert np.array_equal(first, second)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert not np.array_equal(first, image)
    assert np.array_equal(degrade([image], params)[0], first)


def test_video_encoding_leaves_a_worse_image_at_a_higher_rate_factor_and_repeats_itself() -> None:
    config = DegradeConfig(
        probability=1.0,
        scale=(1, 1),
        blur_probability=0,
        motion_probability=0,
        noise_probability=0,
        video_probability=1,
        jpeg_probability=0,
    )
    image = photograph(1)[:150, :150]  # no whole number of macroblocks
    drawn = draw_degradation(np.random.default_rng(0), config)
    assert drawn is not None
    errors = []
    for crf in (18, 30, 42):
        params = dataclasses.replace(drawn, video=("libx264", crf))
        one, two = degrade([image, image], params), degrade([image, image], params)
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
        errors.append(float(np.abs(one[0].astype(float) - image).mean()))
        assert abs(float(one[0].mean()) - float(image.mean())) < 4
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("kind", KINDS)
def test_retexture_smooths_the_source_and_leaves_what_the_mask_leaves(kind: str) -> None:
    real = photograph(4)[:120, :120]
    mask = np.zeros((120, 120), np.float32)
    mask[30:90, 30:90] = 1
    params = draw_retexture(np.random.default_rng(2), RetextureConfig(probability=1.0, kinds=(kind,)))  # type: ignore[arg-type]
    assert params is not None
    fake, source = retexture(real, real, mask, params)
    assert np.array_equal(fake[mask == 0], real[mask == 0])
    inside = np.s_[35:85, 35:85]
    assert np.abs(np.diff(fake[inside].astype(float), axis=0)).mean() < 0.8 * np.abs(np.diff(real[inside].astype(float), axis=0)).mean()
    assert np.array_equal(fake[inside], source[inside])


def test_the_donor_is_the_candidate_whose_landmarks_fit_and_never_the_same_person() -> None:
    target = face_landmarks(0, (60, 70), 80)
    rng = np.random.default_rng(5)
    others = [target + rng.normal(0, 6, target.shape) for _ in range(9)]
    others[4] = target * 1.7 + 11  # an affine image of it
    others[6] = target.copy()
    params = draw_donor(rng, DonorConfig(probability=1.0, candidates=400))
    assert params is not None
    assert choose_donor(target, params, 9, others.__getitem__, lambda index: index == 6) == 4
    assert choose_donor(target, params, 9, others.__getitem__, lambda index: True) is None


def test_a_donor_lands_on_the_landmarks_and_takes_the_colours() -> None:
    real, landmarks, _ = face(1)
    image = np.full((400, 380, 3), (40, 90, 160), np.uint8)
    theirs = landmarks * 1.9 + (20, -10)
    eye = theirs[36:42].mean(0)
    image[int(eye[1]) - 5 : int(eye[1]) + 6, int(eye[0]) - 5 : int(eye[0]) + 6] = 255
    mask = np.zeros(real.shape[:2], np.float32)
    mask[70:150, 60:150] = 1
    params = draw_donor(np.random.default_rng(0), DonorConfig(probability=1.0, color=(0, 0)))
    assert params is not None
    _, source = blend_donor(real, mask, landmarks, DonorFace(image, theirs), params)
    y, x = np.nonzero(source.sum(2) > 600)
    assert np.allclose((x.mean(), y.mean()), landmarks[36:42].mean(0), atol=1.0)
    matched = dataclasses.replace(params, color=1.0)
    fake, source = blend_donor(real, mask, landmarks, DonorFace(photograph(9, 400, 380) // 3, theirs), matched)
    inside = mask == 1
    assert np.abs(source[inside].mean(0) - real[inside].mean(0)).max() < 8
    assert np.array_equal(fake[~inside], real[~inside])


@pytest.mark.parametrize("seed", range(3))
def test_batches_and_single_pairs_are_finished_alike(seed: int) -> None:
    image, landmarks, box = face(seed)
    params = draw_pair(stream(seed, "pair", 0, 0), dataclasses.replace(ALL, donor=DonorConfig()))
    single = one_pair(image, landmarks, box, params, ALL, SIZE)
    batch = SelfBlend(ALL, SIZE)([image], [landmarks], [box], [params])
    for name in FIELDS:
        difference = np.abs(getattr(batch, name)[0].numpy() - getattr(single, name))
        assert difference.mean() < 0.01, name
    plain = dataclasses.replace(params, **NONE)
    unfinished = SelfBlend(ALL, SIZE)([image], [landmarks], [box], [plain])
    expected = finish_pair(
        *(x[0].numpy() for x in (unfinished.fake, unfinished.real, unfinished.source, unfinished.mask)),
        plan_pair(image, landmarks, box, params),
        None,
    )
    for name, array in zip(FIELDS, expected, strict=True):
        assert np.array_equal(getattr(batch, name)[0].numpy(), array), name


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (lambda: DegradeConfig(probability=1.5), "augment.degrade.probability"),
        (lambda: DegradeConfig(scale=(0.5, 2)), "augment.degrade.scale"),
        (lambda: DegradeConfig(video_crf=(20, 60)), "augment.degrade.video_crf"),
        (lambda: RetextureConfig(kinds=("sharpen",)), "augment.retexture.kinds"),  # type: ignore[arg-type]
        (lambda: DonorConfig(color=(0.9, 0.1)), "augment.donor.color"),
    ],
)
def test_impossible_values_are_named(config, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=name.replace(".", r"\.")):
        config()
