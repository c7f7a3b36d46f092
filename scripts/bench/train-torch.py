"""RouteLLM's matrix factorization training loop (routellm/routers/matrix_factorization/
train_matrix_factorization.py) on given arrays, initial values and row order: embedding gather,
normalised model vectors, text projection, Adam. Its noise and its data loader are left out, which
only makes it faster. Prints one JSON object."""
import json
import resource
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

task = json.loads(sys.argv[1])
folder, shape = task["folder"], task["shape"]
torch.set_num_threads(task["threads"])
pairs, models, rank = shape["pairs"], shape["models"], shape["rank"]
dimension, batch = shape["dimension"], shape["batchSize"]


def read(name, kind=np.float32):
    return torch.from_numpy(np.fromfile(f"{folder}/{name}", dtype=kind))


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.P = torch.nn.Embedding(models, rank, _weight=read("models").view(models, rank))
        self.Q = torch.nn.Embedding(
            pairs, dimension, _weight=read("embeddings").view(pairs, dimension)
        ).requires_grad_(False)
        self.text_proj = torch.nn.Linear(dimension, rank)
        self.text_proj.weight.data = read("projection").view(dimension, rank).t().contiguous()
        self.text_proj.bias.data = read("bias")
        self.classifier = torch.nn.Linear(rank, 1, bias=False)
        self.classifier.weight.data = read("output").view(1, rank)

    def forward(self, win, loss, prompt):
        win = F.normalize(self.P(win), p=2, dim=1)
        loss = F.normalize(self.P(loss), p=2, dim=1)
        return self.classifier((win - loss) * self.text_proj(self.Q(prompt))).squeeze(-1)


model = Model()
a, b = read("a", np.int32).long(), read("b", np.int32).long()
label = read("label")
penalised = [model.text_proj.weight, model.classifier.weight]
free = [model.P.weight, model.text_proj.bias]
optimizer = torch.optim.Adam(
    [{"params": penalised, "weight_decay": task["l2"]}, {"params": free}], lr=task["learningRate"]
)
seconds, cpu, losses = [], [], []
for epoch in range(shape["epochs"]):
    order = read(f"order{epoch + 1}", np.int32).long()
    began, cpu_began = time.perf_counter(), time.process_time()
    total = 0.0
    for start in range(0, pairs, batch):
        rows = order[start : start + batch]
        optimizer.zero_grad()
        logits = model(a[rows], b[rows], rows)
        loss = F.binary_cross_entropy_with_logits(logits, label[rows])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    seconds.append(time.perf_counter() - began)
    cpu.append(time.process_time() - cpu_began)
    losses.append(total / pairs)
    if sum(seconds) > task["budget"]:
        break
print(
    json.dumps(
        {
            "what": f"PyTorch {torch.__version__}, {task['threads']} threads",
            "seconds": min(seconds),
            "cpu": min(cpu),
            "losses": losses,
            "peakMB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )
)
