"""What customers write: ticket texts and survey comments, in English and a few other languages."""

from functools import lru_cache

import numpy as np
import pyarrow as pa

from features.simulate.shop import CATEGORIES, Ints

__all__ = ["COMMENTS", "LANGUAGES", "TOPICS", "comments", "ticket_texts"]

LANGUAGES = ("en", "de", "fr", "es", "zh")
TOPICS = ("delivery", "damaged", "refund", "product", "account")
_EN = 3  # English variants of each text; one in every other language

# By topic: angry, neutral, pleased; in each three English texts, then de, fr, es, zh.
_TICKETS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "delivery": (
        (
            "My {thing} order is two weeks late and nobody answers. This is unacceptable.",
            "Still no parcel. The tracking has not moved for days, very disappointing.",
            "The courier left my {thing} items in the rain. Terrible service.",
            "Meine Bestellung ist seit zwei Wochen überfällig. Das ist inakzeptabel.",
            "Ma commande a deux semaines de retard, je suis très déçu.",
            "Mi pedido lleva dos semanas de retraso, es un servicio pésimo.",
            "我的订单晚了两个星期,没有人回复,太让人失望了。",
        ),
        (
            "When will my {thing} order arrive?",
            "Can I change the delivery address of my order?",
            "Do you deliver on Saturdays?",
            "Wann kommt meine Bestellung an?",
            "Quand ma commande sera-t-elle livrée ?",
            "¿Cuándo llegará mi pedido?",
            "我的订单什么时候到?",
        ),
        (
            "The parcel came a day early, thank you very much!",
            "Great delivery, the driver was friendly and on time.",
            "My {thing} order arrived perfectly packed. Excellent!",
            "Die Lieferung kam schneller als erwartet, vielen Dank!",
            "Livraison très rapide, merci beaucoup !",
            "¡La entrega fue rapidísima, muchas gracias!",
            "送货很快,非常感谢!",
        ),
    ),
    "damaged": (
        (
            "The {thing} item arrived broken. I am really unhappy.",
            "Second time in a row that something is damaged. Awful packaging.",
            "Scratched and useless. I want my money back.",
            "Der Artikel kam kaputt an. Ich bin sehr verärgert.",
            "L'article est arrivé cassé, c'est inadmissible.",
            "El artículo llegó roto, estoy muy descontento.",
            "商品到的时候已经坏了,非常不满意。",
        ),
        (
            "One part of my {thing} order has a dent. What should I do?",
            "The box was open when it arrived. Please advise.",
            "There is a small scratch on the item, can you replace it?",
            "Ein Teil hat eine Delle. Was soll ich tun?",
            "Le carton était ouvert à l'arrivée. Que dois-je faire ?",
            "La caja llegó abierta. ¿Qué debo hacer?",
            "包装有破损,请问怎么处理?",
        ),
        (
            "You replaced the broken {thing} item at once. Wonderful service!",
            "The new one arrived safe and sound, thanks for the quick help.",
            "Thank you for replacing it so kindly.",
            "Der Ersatz kam sofort, toller Service!",
            "Remplacement immédiat, service parfait !",
            "Me lo cambiaron enseguida, ¡excelente servicio!",
            "马上就换了新的,服务很好!",
        ),
    ),
    "refund": (
        (
            "I returned my {thing} order a month ago and still have no refund. Ridiculous.",
            "You charged me twice and refuse to pay it back. I am furious.",
            "Worst refund process ever, I will not buy here again.",
            "Seit einem Monat warte ich auf mein Geld. Eine Frechheit.",
            "Toujours pas remboursé après un mois, c'est scandaleux.",
            "Un mes esperando el reembolso, es una vergüenza.",
            "退货一个月了还没有退款,太差劲了。",
        ),
        (
            "How long does a refund take?",
            "I would like to return one {thing} item.",
            "Where can I find the return label?",
            "Wie lange dauert eine Erstattung?",
            "Combien de temps prend un remboursement ?",
            "¿Cuánto tarda un reembolso?",
            "退款需要多长时间?",
        ),
        (
            "Refund received within two days, perfect.",
            "Very easy return, thank you!",
            "Thanks for the quick refund of my {thing} order.",
            "Die Erstattung war sehr schnell, danke!",
            "Remboursement rapide, merci !",
            "Reembolso muy rápido, ¡gracias!",
            "退款很快,谢谢!",
        ),
    ),
    "product": (
        (
            "The quality of the {thing} item is poor, nothing like the picture.",
            "It fell apart after a week. Cheap and bad.",
            "Wrong size and the description is misleading. Disappointed.",
            "Schlechte Qualität, ganz anders als auf dem Bild.",
            "Mauvaise qualité, rien à voir avec la photo.",
            "Mala calidad, nada que ver con la foto.",
            "质量很差,和图片完全不一样。",
        ),
        (
            "Is the {thing} item dishwasher safe?",
            "What are the measurements of this product?",
            "When will it be back in stock?",
            "Wann ist der Artikel wieder lieferbar?",
            "Quelles sont les dimensions de ce produit ?",
            "¿Cuáles son las medidas de este producto?",
            "这个商品什么时候有货?",
        ),
        (
            "I love my new {thing} item, beautiful quality!",
            "Even better than expected, I will order again.",
            "Lovely product and great value.",
            "Wunderschönes Produkt, gerne wieder!",
            "Très beau produit, je recommande !",
            "Un producto precioso, ¡volveré a comprar!",
            "东西很漂亮,下次还会买!",
        ),
    ),
    "account": (
        (
            "I cannot log in for days and support ignores me. So annoying.",
            "You keep sending emails although I unsubscribed. Stop it!",
            "My saved addresses are gone. This website is a mess.",
            "Ich komme seit Tagen nicht in mein Konto. Sehr ärgerlich.",
            "Impossible de me connecter depuis des jours, c'est pénible.",
            "No puedo entrar en mi cuenta desde hace días, qué desastre.",
            "好几天都登录不了,真烦人。",
        ),
        (
            "How can I change my email address?",
            "Please tell me how many points I have.",
            "I forgot my password.",
            "Wie ändere ich meine E-Mail-Adresse?",
            "Comment changer mon adresse e-mail ?",
            "¿Cómo cambio mi correo electrónico?",
            "怎么修改邮箱地址?",
        ),
        (
            "Thanks for sorting out my account so fast, great help!",
            "The new app is lovely and easy to use.",
            "Support was friendly and solved it in minutes.",
            "Mein Konto läuft wieder, super Hilfe!",
            "Compte rétabli tout de suite, merci !",
            "Cuenta arreglada enseguida, ¡genial!",
            "账户问题很快就解决了,太好了!",
        ),
    ),
}

# By mood, in the same order of languages.
COMMENTS: tuple[tuple[str, ...], ...] = (
    (
        "Too slow and too expensive.",
        "Bad experience, I will look elsewhere.",
        "Customer service did not help at all.",
        "Schlechte Erfahrung, leider.",
        "Très déçu du service.",
        "Muy mala experiencia.",
        "体验很差。",
    ),
    (
        "It is fine.",
        "Average, nothing special.",
        "Good range, delivery could be faster.",
        "Ganz in Ordnung.",
        "Correct, sans plus.",
        "Está bien, sin más.",
        "一般般。",
    ),
    (
        "Love this shop!",
        "Always a pleasure, great products.",
        "Fast, friendly and good value.",
        "Sehr gerne wieder!",
        "Excellent magasin, merci !",
        "¡Me encanta esta tienda!",
        "非常满意!",
    ),
)


@lru_cache(maxsize=1)
def _all_tickets() -> pa.Array:
    return pa.array(
        [
            text.format(thing=category.lower())
            for topic in TOPICS
            for mood in _TICKETS[topic]
            for text in mood
            for category in CATEGORIES
        ]
    )


def _variant(language: Ints, rng: np.random.Generator) -> Ints:
    """One of the English texts, or the one of another language."""
    english = rng.integers(0, _EN, len(language))
    return np.where(language == 0, english, _EN - 1 + language)


def ticket_texts(
    topic: Ints, mood: Ints, language: Ints, category: Ints, rng: np.random.Generator
) -> pa.Array:
    """Texts for topics, moods (0 angry, 1 neutral, 2 pleased), languages and categories.

    >>> import numpy as np
    >>> one = np.array([1])
    >>> ticket_texts(one - 1, one, one, one, np.random.default_rng(0))[0].as_py()
    'Wann kommt meine Bestellung an?'
    """
    texts = _EN + len(LANGUAGES) - 1
    place = ((topic * 3 + mood) * texts + _variant(language, rng)) * len(CATEGORIES) + category
    return _all_tickets().take(pa.array(place))


def comments(mood: Ints, language: Ints, rng: np.random.Generator) -> pa.Array:
    """Survey comments for moods (0 unhappy, 1 neutral, 2 happy) and languages."""
    texts = pa.array([text for mood_texts in COMMENTS for text in mood_texts])
    return texts.take(pa.array(mood * len(COMMENTS[0]) + _variant(language, rng)))
