"""Chinese for the sentences that come from below the reports: sources and notes."""

from __future__ import annotations

from focalkit._core.message import Sentence

#: The form of a :class:`Sentence` in English, and in Chinese with the same fields.
CHINESE = {
    "{name}: {size}": "{name}：{size}",
    "{name}: {size}, target {target}": "{name}：{size}，目标列 {target}",
    "{n} files from {name} on": "{name} 等 {n} 个文件",
    "{n} ledgers from {name} on": "{name} 等 {n} 份账本",
    "{n:,} targets{ignored}, {classes} classes (softmax)": "{n:,} 个目标{ignored}，{classes} 个类别（softmax）",
    "{n:,} targets{ignored}, {classes} independent column(s) (sigmoid)": "{n:,} 个目标{ignored}，{classes} 个独立列（sigmoid）",
    ", {n:,} ignored": "，忽略 {n:,} 个",
    "made-up predictions (seeded noise, seed {seed}; no model behind them): {n:,} rows, 5 classes": "虚构的预测"
    "（带种子的噪声，种子 {seed}，背后没有模型）：{n:,} 行，5 个类别",
    "embedded long-tailed digits: {n:,} rows × {width} features, {classes} classes": "内置的长尾手写数字：{n:,} 行 × {width} 个"
    "特征，{classes} 个类别",
    "{file}: {n:,} rows × {width} features, {classes} classes, target {target!r}": "{file}：{n:,} 行 × {width} 个特征，"
    "{classes} 个类别，目标列 {target!r}",
    "{n} text column(s) are one-hot encoded inside the folds.": "{n} 个文本列在各折之内作独热编码。",
    "Missing values are imputed inside the folds.": "缺失值在各折之内填补。",
    "{n} text column(s) are given to {name} as categories.": "{n} 个文本列作为类别特征交给 {name}。",
    "Missing values are left to {name}.": "缺失值交给 {name} 处理。",
    "{n_copies:,} of {n:,} rows repeat another row; the copies of a row stay in one fold, so that no row is scored by a model "
    "that has seen it.": "{n:,} 行中有 {n_copies:,} 行与另一行重复；同一行的副本放在同一折里，没有一行由见过它的模型评分。",
    "{n} class(es) have one distinct row: always trained on, never scored.": "{n} 个类别只有一行不同的数据：总是用来训练，从不评分。",
    "{n} class(es) have fewer distinct rows than the {n_splits} folds; each fold's averages run over the classes that it "
    "holds.": "{n} 个类别的不同行数少于折数 {n_splits}；每一折只对它含有的类别取平均。",
    "{n:,} of {n_fits:,} fits stopped at their iteration limit.": "{n_fits:,} 次拟合中有 {n:,} 次停在迭代上限。",
    "Interrupted: {n} of {n_all} folds were finished and are used.": "中途停止：{n_all} 折中完成了 {n} 折，只用这些。",
    "Interrupted: {n} of {n_all} cells were finished and are used.": "中途停止：{n_all} 格中完成了 {n} 格，只用这些。",
    "The first line is taken as data: the file has no header.": "第一行当作数据：文件没有表头。",
    "{n:,} rows have no target and are left out.": "{n:,} 行没有目标，已略去。",
    "Column {name!r} is empty and left out.": "列 {name!r} 是空的，已略去。",
    "Column {name!r} holds {type}, which is no number and no text: left out.": "列 {name!r} 的内容是 {type}，既非数字也非文本：已略去。",
    "Column {name!r} differs in nearly every row, like a name or number of the row: left out.": "列 {name!r} 几乎每行都不同，像是行的"
    "名字或编号：已略去。",
    "{n:,} infinite values are taken as missing.": "{n:,} 个无穷大值按缺失处理。",
    "{n:,} values are missing.": "有 {n:,} 个缺失值。",
}


def said(text: str, language: str = "en") -> str:
    """``text`` in that language, where it is a :class:`Sentence`; others stay as they are."""
    if language == "en" or not isinstance(text, Sentence):
        return str(text)
    values = {name: said(value, language) if isinstance(value, str) else value for name, value in text.values.items()}
    return CHINESE[text.form].format(**values)
