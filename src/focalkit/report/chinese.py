"""Chinese for the sentences that come from below the reports: sources and notes."""

from __future__ import annotations

from focalkit._core.message import Sentence
from focalkit.io.alerts import SAID

#: Chinese for the alerts of the readers, by their ids.
ALERTS = {
    "encoding": "文本不是 UTF-8，按 {encoding} 解码；可用 --encoding 另选。",
    "decimal_comma": "数字按小数逗号读取；--decimal . 则按小数点读取。",
    "delimiter": "各列以 {delimiter!r} 分隔；可用 --delimiter 另选。",
    "preamble": "表格上方的 {n} 行已略去，第一行是 {first!r}。",
    "no_header": "第一行当作数据：文件没有表头。",
    "suspected_header": "第一行当作表头，因为它的标签 {label!r} 在别处没有出现；--no-header 则当作数据。",
    "numeric_header": "第一行当作表头，因为其中的数字依次递增；--no-header 则当作数据。",
    "repeated_header": "表头在文件中间又出现了 {n} 次（最早在第 {line:,} 行）；这些行已略去。",
    "row_names": "表头比数据少一个名字：第一列是各行的名字。",
    "damaged_lines": "{n:,} 行无法读取，已略去（最早是第 {line:,} 行：{what}）。",
    "duplicate_names": "有重复的列名：{names}。",
    "target_guess": "目标列是 {name!r}；可用 --target 另选。",
    "number_with_gaps": "列 {name!r} 几乎全是数字：{words} 按缺失处理。",
    "number_marks": "列 {name!r} 读作数字，去掉了：{marks}。",
    "thousands_or_decimal": "列 {name!r} 中的 {mark!r} 读作千位分隔符；--decimal , 则读作小数逗号。",
    "partly_numbers": "列 {name!r} 当作文本：{n_rows:,} 个值中有 {n:,} 个是数字，但 {words} 不是。",
    "pandas_index": "列 {name!r} 是 pandas 写出的行索引：已略去（--keep 可保留）。",
    "row_counter": "列 {name!r} 像索引一样给各行编号：已略去（--keep 可保留）。",
    "identifier": "列 {name!r} 是标识符，{n_rows:,} 行中有 {n:,} 个不同的值：已略去（--keep 可保留；--groups 让同一标识符的行留在同一折）。",
    "row_name": "列 {name!r} 几乎每行都不同，像是行的名字或编号：已略去（--keep 可保留）。",
    "maybe_identifier": "列 {name!r} 每行都是不同的整数：它是标识符吗？可用 --drop 略去。",
    "constant": "列 {name!r} 每行的值都相同：已略去。",
    "empty": "列 {name!r} 是空的，已略去。",
    "no_feature": "列 {name!r} 的内容是 {type}，既非数字也非文本：已略去。",
    "dropped": "按要求略去的列：{names}。",
    "leak": "仅凭列 {name!r} 就几乎能确定目标：预测时能知道它吗？可用 --drop 略去。",
    "high_cardinality": "文本列 {name!r} 在 {n_rows:,} 行中有 {n:,} 个不同的值。",
    "infinite": "{n:,} 个无穷大值按缺失处理。",
    "missing": "有 {n:,} 个缺失值。",
    "mostly_missing": "列 {name!r} 有 {percent} % 的行缺失。",
    "duplicates": "{n_rows:,} 行中有 {n:,} 行与另一行重复。",
    "conflicts": "{n:,} 行的特征与另一行相同而标签不同。",
    "classes": "类别：{classes}。",
    "missing_labels": "{n:,} 行没有目标，已略去。",
    "missing_label_word": "{n:,} 行没有目标（{words}），已略去；--no-missing 则把这个词当作类别。",
    "word_as_class": "{word!r} 当作一个有 {n:,} 行的类别，而不是缺失的标签；--missing {word} 则略去这些行。",
    "near_equal_labels": "只差大小写或空格的标签是不同的类别：{labels}。",
    "single_row_classes": "{n} 个类别只有一行，无法评分：{labels}。",
    "logit_columns": "logits 取自 {columns}；未用：{others}。",
    "renormalised": "{n:,} 行概率之和因舍入而不等于 1，已除以各自的和。",
    "per_cent": "概率以百分数给出，已除以 100。",
    "clipped": "{n:,} 个等于 0 或 1 的概率按相距 {floor:g} 处理（--clip 设定这个下限）。",
}

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
    **{SAID[name]: text for name, text in ALERTS.items()},
}


def said(text: str, language: str = "en") -> str:
    """``text`` in that language, where it is a :class:`Sentence`; others stay as they are."""
    if language == "en" or not isinstance(text, Sentence):
        return str(text)
    values = {name: said(value, language) if isinstance(value, str) else value for name, value in text.values.items()}
    return CHINESE[text.form].format(**values)
