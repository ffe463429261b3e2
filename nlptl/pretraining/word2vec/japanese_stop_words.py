"""Function words of Japanese, in the forms in which a segmenter gives them: as they are written, and normalised.

Words that negate stand apart. ん may be one (食べません) or none (そうなんです), and な may forbid
(行くな), so both are kept.
"""

from __future__ import annotations

_PARTICLES = """
    が の を に へ と で から より まで や は も こそ さえ すら でも だけ ばかり のみ くらい ぐらい ほど など なんか
    なんて か とか やら かしら ね ねえ ねぇ よ わ さ ぞ ぜ なあ なぁ け っけ って て ば たら なら ので のに けど
    けれど けれども ながら つつ し たり だって
"""
_AUXILIARIES = """
    だ だっ だろ だろう で じゃ です でし でしょ でしょう ます まし ませ ましょう た たろ たろう う よう 様 そう
    らしい らしく らしかっ みたい れる れ られる られ せる せ させる させ てる て とる ちゃう ちゃっ する し さ すれ
    せよ 為る ある あり あっ あろう 有る いる い いれ 居る おる おり なる なっ なり なれ 成る いく いっ くる き 来る
    くれる くれ 呉れる もらう もらっ 貰う しまう しまっ 仕舞う おく おい ござる ござい 御座る いたす いたし 致す
    ください 下さる
"""
_NOUNS_AND_PRONOUNS = """
    こと 事 もの 物 ため 為 とき 時 ところ 所 わけ 訳 はず 筈 ほう 方 これ 此れ それ 其れ あれ 彼れ どれ この 此の
    その 其の あの 彼の どの ここ 此処 そこ 其処 あそこ 彼処 どこ 何処 こう そう ああ どう こちら そちら あちら
    どちら こんな そんな あんな どんな 私 わたし 僕 ぼく 俺 自分 彼 彼女 何 なに なん 誰 だれ いつ 何時
"""
_CONNECTIVES_AND_FILLERS = """
    しかし 然し だが だから そして また 又 ただ 唯 さらに 更に それで なので すると また 及び および または 又は
    或いは えっと えと えーと ええと ええ えー あー うー うん まあ まぁ あのー そのー ほら おや さあ
"""
_NEGATIONS = """
    ない なかっ なかろう なく なけれ なきゃ なし 無い 無く 無かっ 無けれ 無し 無 不 非 未 ず ぬ ざる ん んっ まい
    いや いいえ 否
"""

FUNCTION_WORDS = frozenset(f"{_PARTICLES} {_AUXILIARIES} {_NOUNS_AND_PRONOUNS} {_CONNECTIVES_AND_FILLERS}".split())
NEGATIONS = frozenset(_NEGATIONS.split())
