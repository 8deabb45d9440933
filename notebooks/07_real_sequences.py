# %% [markdown]
# # Fit and predict: real sequences of unequal length
#
# Twelve cepstral coefficients of nine speakers who say the vowel "ae", 7 to 29 steps long. No network
# is trained: kernels of infinitely wide recurrent networks compare two utterances, and ridge regression
# on them tells the speaker. What has to be chosen is chosen by how well each utterance is predicted by
# the others.
#
# `NTKRNN_SMALL=1` in the environment makes everything smaller and runs in seconds.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import KernelPCA
from sklearn.svm import SVC

import ntkrnn
from ntkrnn.data import load, systems
from ntkrnn.estimators import RecurrentGPRegressor, RecurrentKernel, RecurrentKernelClassifier
from ntkrnn.report.predictions import confusion_matrix, reliability
from ntkrnn.report.scores import share

SMALL = os.environ.get("NTKRNN_SMALL") == "1"

# %%
vowels = load("japanese_vowels", n=240 if SMALL else 640, standardize="none")
half = len(vowels.x) // 2
x, y, lengths = vowels.x, vowels.labels, vowels.lengths
order = np.random.default_rng(0).permutation(len(x))
train, test = order[:half], order[half:]
print(vowels.describe())

# %% [markdown]
# ## Fit
#
# Four candidates: standardised per series or per channel, with small biases and differences of time, or
# with large biases and none. The error is the mean square of left-out scores, whose targets are +1
# and -1.

# %%
model = RecurrentKernelClassifier().fit(x[train], y[train], lengths=lengths[train])
for name, error in zip(model.candidates_["candidate"], model.candidates_["loo_score"], strict=True):
    print(f"{error:.4f}  {name}")
predicted = model.predict(x[test], lengths=lengths[test])
score = share(int((predicted == y[test]).sum()), len(test))
print(f"accuracy {score.value:.3f}, 95% interval ({score.low:.3f}, {score.high:.3f})")
assert score.value > 0.8

# %% [markdown]
# ## Which speakers are taken for which, and what the probabilities are worth

# %%
counts = np.zeros((len(model.classes_), len(model.classes_)), int)
np.add.at(
    counts, (np.searchsorted(model.classes_, y[test]), np.searchsorted(model.classes_, predicted)), 1
)
confusion_matrix(counts, [str(name) for name in model.classes_], title="Speakers")

# %%
chances = model.predict_proba(x[test], lengths=lengths[test])
reliability(chances.max(axis=1), predicted == y[test], title="Probabilities")

# %% [markdown]
# ## The kernel for other methods
#
# `RecurrentKernel` is a transformer to the kernel matrix, for whatever takes one.

# %%
kernel = RecurrentKernel(standardize="channel")
own = kernel.fit_transform(x[train], lengths=lengths[train])
new = kernel.transform(x[test], lengths=lengths[test])
machine = SVC(kernel="precomputed", C=100.0).fit(own, y[train])
print(f"support vectors: {machine.score(new, y[test]):.3f}")
assert machine.score(new, y[test]) > 0.8
components = KernelPCA(2, kernel="precomputed").fit(own).transform(new)
plt.figure(figsize=(5.4, 4.6), layout="constrained")
plt.scatter(*components.T, c=y[test], cmap="tab10", s=14)
plt.xlabel("first kernel component")
plt.ylabel("second kernel component")
plt.title("Utterances of the other half, coloured by speaker")

# %% [markdown]
# ## Which network?
#
# Kernels of gated cells work as any other. They are sampled, and say their standard error.

# %%
few = train[: 60 if SMALL else 160]
for arch in ("auto", ntkrnn.LSTM(b_std=0.3, readout="mean"), ntkrnn.GRU(b_std=0.3, readout="mean")):
    one = RecurrentKernelClassifier(arch, standardize="channel")
    one.fit(x[few], y[few], lengths=lengths[few])
    name = "auto" if arch == "auto" else arch.kind
    accuracy = one.score(x[test], y[test], lengths=lengths[test])
    print(f"{name}: accuracy {accuracy:.3f}, kernel known to {one.kernel_.kernel_error_:.1%}")
    assert accuracy > 0.6

# %% [markdown]
# ## A system, from its inputs
#
# With an output at every step the same kernels are the covariance of a Gaussian process over records:
# a pendulum that is pushed at random, predicted from the pushes alone. Scales and noise maximise the
# marginal likelihood.

# %%
record = systems.pendulum(0, n=2, T=120 if SMALL else 300, noise=0.02)
torque, angle = record.x[:, :, :1], record.y[:, :, 0]
process = RecurrentGPRegressor(ntkrnn.Elman(nonlinearity="erf", b_std=0.3, readout="sequence"))
process.fit(torque[:1], angle[:1])
mean, std = process.predict(torque[1:], return_std=True)
inside = np.mean(np.abs(mean - angle[1:]) < 1.96 * std)
print(f"R2 {process.score(torque[1:], angle[1:]):.3f}, 95% bands hold {inside:.1%}")
assert process.score(torque[1:], angle[1:]) > 0.7
plt.figure(figsize=(8, 3), layout="constrained")
steps = np.arange(len(mean[0]))
plt.fill_between(steps, mean[0] - 1.96 * std[0], mean[0] + 1.96 * std[0], alpha=0.2, label="95% band")
plt.plot(steps, angle[1], "k", linewidth=1, label="truth")
plt.plot(steps, mean[0], label="predicted from the torque")
plt.xlabel("step")
plt.ylabel("angle")
plt.legend()
plt.show()
