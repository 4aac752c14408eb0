"""How assistants talk of their limits, by language and family; `refusals.py` looks for them.

`identity`: what it is ("as an AI language model, I"); `lack`: what it hasn't (feelings, opinions of its own); `access`:
what it can't reach (the internet, today's news); `refusal`: that it won't or can't help. All are said in the first person:
an AI that is only written about is another matter. Apostrophes are straight here; case is ignored.
"""

# ruff: noqa: E501
import re

_AI = r"(?:ai|a\.i\.|artificial intelligence|machine learning)"
_MODEL = rf"(?:(?:{_AI}|large|virtual|digital|text-based|computer|neural)[- ]+){{0,3}}(?:language model|chat ?bot|virtual assistant)"
_BEFORE = r"(?:^|[.!?,;:(\n-] ?|\b(?:but|and|because|since|sorry|however|unfortunately|while|that|although|so) )"
_CANT = r"(?:can't|cannot|can not|am (?:unable|not able) to|am not (?:capable of|programmed to|designed to)|won't be able to|do not have the ability to|don't have the ability to)"
_IM = r"(?:i am|i'm)"

PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "identity": (
            rf"{_BEFORE}(?:as|being|since {_IM}|because {_IM}|as {_IM}|{_IM}(?: (?:just|only|merely|simply|actually))?) an? "
            rf"(?:(?:[a-z-]+,? (?:and )?){{0,3}}?{_MODEL}(?! (?:researcher|developer|engineer|trainer|expert)s?\b)"
            rf"|(?:[a-z-]+,? (?:and )?){{0,3}}?{_AI} (?:assistant|(?:text-based )?model|persona)(?! (?:researcher|developer|engineer|trainer|expert)s?\b)\b"
            rf"|{_AI}(?: (?:program|system|bot|entity|machine|tool|being))?(?=,? (?:i\b|my\b|it is not|it's not|(?:and|so) (?:i|not|my|do|don't|cannot)\b|without\b)|[.;!] ?i\b)"
            rf"|(?<=m an ){_AI}(?=[,.;!] |,? (?:and|so|but)\b)|(?<=just an ){_AI}(?=[,.;!] |,? (?:and|so|but)\b)"
            r"|(?:computer|software) program(?=,? (?:i\b|my\b|and (?:i|do|don't)\b|without\b)|[.,;] ?i\b))"
        ),
        "lack": (
            r"\bi (?:do not|don't|cannot|can't|lack|have no|am (?:unable|not able) to|am not capable of|"
            r"do not possess|don't possess|do not actually have|don't actually have)"
            r"(?: (?:have|possess|experience|experiencing|feel|feeling|form|forming|hold|holding|the (?:ability|capability|capacity) to (?:have|feel|experience|form)))?"
            r"(?: (?:any|an?|actual|real|true|genuine|my own|the|such))*"
            r" (?:(?!personal experience (?:with|in|of|at)\b)(?:personal|subjective|human|individual|political|emotional)(?:ity)?(?:,? (?:or|and) \w+,?)? "
            r"(?:experiences?|opinions?|beliefs?|feelings?|emotions?|preferences?|views?|thoughts?|viewpoints?|biases|bias|desires?|tastes?|memories|life|values|perspectives?|connections?|interests)"
            r"|(?:feelings|emotions|opinions|beliefs|consciousness|personal experience|preferences)"
            r"(?=[,.;!]|$| (?:or|and|like|as|the way|of my own|about|on|to share|because|but|since|in the)\b)"
            r"|physical (?:body|form|presence|experiences?)|emotions or|feelings or)"
        ),
        "access": (
            rf"\bi (?:do not|don't|{_CANT[3:-1]}|have no)(?: currently)? (?:have (?:direct |any |current )*access to|access|browse|browsing|have real[- ]time|"
            r"search|provide real[- ]time|provide current|have up-to-date)"
            r"(?: (?:to|the|any|your|current|live|up-to-date|external|specific|online|latest|most|recent|to the))*"
            r" ?(?:real[- ]time|internet|web\b|current (?:information|data|events)|live (?:data|information)|up-to-date|latest|browse|external (?:websites|sources|links)|personal (?:information|data) (?:about|of))"
            r"|\bmy (?:knowledge|training)(?: data)? (?:cut-?off|(?:was |is )?(?:limited to|only goes up to|ends in|only extends))"
            r"|\bmy last (?:knowledge )?update (?:was )?in\b|\bas of my (?:last|latest) (?:knowledge )?(?:update|training)"
        ),
        "refusal": (
            rf"(?:(?:sorry|apologi[sz]e|apologies|regret|unfortunately|afraid)[^.!?\n]{{0,40}}?)\bi(?: simply| just)? {_CANT}(?: to)? "
            r"(?:assist|help|fulfil|fulfill|comply|answer|generat|creat|provid|writ|engag|participat|complet|perform|"
            r"support|condone|discuss|offer|respond|process|proceed|continue|do that|do this|translat)"
            rf"|^i(?:'m sorry, but i)? {_CANT}(?: to)? (?:assist|help (?:you|with|in|any|some)|fulfil|fulfill|comply|engage|participate|condone|promote|support|encourage|provide (?:you with )?(?:any )?(?:instructions|assistance|guidance|information (?:on|about) (?:how|illegal|harmful)))"
            r"|^(?:i'm sorry|i am sorry|sorry|i apologi[sz]e), (?:but )?(?:it is|it's|that is|that's|this is) (?:not (?:appropriate|ethical|possible|within)|against|inappropriate|unethical|illegal)"
            r"|\b(?:goes )?against my (?:programming|guidelines|ethical|core)"
            r"|\bi(?: am|'m) (?:not )?programmed to\b"
        ),
    },
    "es": {
        "identity": r"\bcomo (?:un |una )?(?:modelo de (?:lenguaje|ia)|inteligencia artificial|ia|asistente (?:virtual|de ia))(?:,| (?:no|yo|soy|mi)\b)",
        "lack": r"\bno (?:tengo|poseo|puedo (?:tener|sentir|experimentar)) (?:emociones|sentimientos|(?:opiniones|experiencias|creencias|preferencias) (?:personales|propias)|un cuerpo|conciencia|la capacidad de sentir)",
        "access": r"\bno tengo (?:acceso a (?:internet|información (?:actualizada|en tiempo real)|datos en tiempo real)|la capacidad de acceder)",
        "refusal": r"(?:lo siento|disculpa|lamento)[^.!?\n]{0,30}\bno puedo (?:ayudar|proporcionar|cumplir|responder|asistir|generar|crear|escribir|ofrecer)",
    },
    "fr": {
        "identity": r"\ben tant qu(?:e |')(?:une? )?(?:modèle (?:de langage|linguistique|d'ia)|intelligence artificielle|ia|assistant (?:virtuel|ia))(?:,| je\b)",
        "lack": r"\bje n'ai pas (?:d'|de )(?:émotions?|sentiments?|opinions?|expériences? personnelles?|préférences? personnelles?|croyances?|corps|conscience)",
        "access": r"\bje n'ai pas accès (?:à internet|aux? (?:informations?|données) (?:en temps réel|actuelles|à jour))",
        "refusal": r"(?:désolée?|excuse)[^.!?\n]{0,30}\bje ne (?:peux|suis) pas (?:en mesure de |capable de )?(?:vous |t')?(?:aider|fournir|répondre|satisfaire|accéder|générer|créer|écrire)",
    },
    "de": {
        "identity": r"\bals (?:eine? )?(?:(?:großes )?(?:ki-)?sprachmodell|ki|künstliche intelligenz|ki-(?:modell|assistent)|virtueller assistent)(?:,| (?:habe|kann|bin|verfüge|besitze) ich\b)",
        "lack": r"\b(?:ich habe|habe ich|ich besitze|besitze ich) (?:selbst )?keine (?:eigenen |persönlichen |menschlichen )?(?:gefühle|emotionen|meinung(?:en)?|erfahrungen|vorlieben|überzeugungen)\b",
        "access": r"\b(?:ich habe|habe ich) keinen zugriff auf (?:das internet|aktuelle|echtzeit)",
        "refusal": r"(?:tut mir (?:sehr )?leid|entschuldigung|bedauere)[^.!?\n]{0,30}\bich kann (?:dir|ihnen|dabei|damit|diese|das|diesem|hierbei)?[^.!?\n]{0,40}\bnicht (?:helfen|beantworten|erfüllen|bereitstellen|nachkommen|schreiben|weiterhelfen|behilflich)",
    },
    "it": {
        "identity": r"\b(?:come|in quanto|essendo) (?:un |una |un')?(?:modello (?:linguistico|di linguaggio)|intelligenza artificiale|ia|ai|assistente virtuale)(?:,| (?:non|io|sono)\b)",
        "lack": r"\bnon (?:ho|possiedo|posso provare) (?:emozioni|sentimenti|(?:opinioni|esperienze|preferenze|convinzioni) personali|un corpo|coscienza)",
        "access": r"\bnon ho accesso (?:a internet|a informazioni (?:aggiornate|in tempo reale)|ai dati in tempo reale)",
        "refusal": r"(?:mi dispiace|mi spiace|scusa)[^.!?\n]{0,30}\bnon posso (?:aiutart?[ilv]?|aiutar|fornir|risponder|soddisfar|assister|generar|crear|scriver)",
    },
    "pt": {
        "identity": r"\b(?:como|sendo|por ser) (?:um |uma )?(?:modelo de (?:linguagem|ia)|inteligência artificial|ia|assistente virtual)(?:,| (?:não|eu|sou)\b)",
        "lack": r"\b(?:eu )?não (?:tenho|possuo) (?:emoções|sentimentos|(?:opiniões|experiências|crenças|preferências) pessoais|um corpo|consciência)",
        "access": r"\bnão tenho acesso (?:à internet|a informações (?:atualizadas|em tempo real)|a dados em tempo real)",
        "refusal": r"(?:desculpe|sinto muito|lamento)[^.!?\n]{0,30}\bnão posso (?:ajud|fornec|respond|atend|cumpr|ger|cri|escrev)",
    },
    "nl": {
        "identity": r"\bals (?:een )?(?:(?:groot )?(?:ai-)?taalmodel|ai|kunstmatige intelligentie|ai-(?:model|assistent)|virtuele assistent)(?:,| (?:heb|kan|ben|beschik) ik\b)",
        "lack": r"\b(?:ik heb|heb ik) geen (?:eigen |persoonlijke |menselijke )(?:gevoelens|emoties|mening(?:en)?|ervaringen|voorkeuren|overtuigingen)\b|\b(?:ik heb|heb ik) geen (?:gevoelens|emoties)\b",
        "access": r"\b(?:ik heb|heb ik) geen toegang tot (?:het internet|actuele|realtime)",
        "refusal": r"(?:spijt me|sorry|excuses)[^.!?\n]{0,20}\bik kan (?:je|u|daar|hier|dit|dat|deze)[^.!?\n]{0,40}\b(?:niet|geen)\b[^.!?\n]{0,20}(?:helpen|beantwoorden|voldoen|geven|schrijven)",
    },
    "ru": {
        "identity": r"\bкак (?:большая )?(?:языковая модель|искусственный интеллект|ии|виртуальный (?:помощник|ассистент)|модель (?:искусственного интеллекта|ии))(?:,| я\b)|\bявляюсь (?:языковой моделью|искусственным интеллектом)",
        "lack": r"\bу меня нет (?:чувств|эмоций|(?:личного|собственного) (?:мнения|опыта)|личных (?:предпочтений|убеждений)|сознания)|\bя не (?:имею|испытываю) (?:чувств|эмоций|личного)",
        "access": r"\bу меня нет доступа к (?:интернету|актуальн|данным в реальном)",
        "refusal": r"(?:извините|простите|к сожалению)[^.!?\n]{0,20}\bя не (?:могу|в состоянии) (?:вам |вас )?(?:помочь|предоставить|ответить|выполнить|написать|создать)",
    },
    "zh": {
        "identity": r"作为(?:一[个種种款名])?(?:大型)?(?:AI|ＡＩ|人工智能|语言模型|語言模型|虚拟助手|聊天机器人)(?!研究|工程|专家|领域|产品|公司|技术|的)",
        "lack": r"我(?:并)?(?:没有|不具备|不具有|無法有|没办法有)(?:个人|自己的|真实的|人类的)?(?:的)?(?:情感|感情|感受|情绪|意见|观点|个人经[历验]|意识|偏好|身体)",
        "access": r"我(?:无法|不能|没有办法)(?:直接)?(?:访问|获取|浏览)(?:互联网|实时|最新)",
        "refusal": r"(?:抱歉|对不起|不好意思)[,，。]?(?:但)?(?:是)?我(?:无法|不能|没办法)(?:提供|回答|帮助|协助|满足|完成|生成|为您|为你)",
    },
    "ja": {
        "identity": r"(?:私は)?(?:AI|人工知能|(?:大規模)?言語モデル|AIアシスタント)(?:言語モデル|アシスタント|モデル)?(?:として、?私?|なので|ですので|であるため)",
        "lack": r"私(?:に|自身)?(?:は|には)、?(?:個人的な)?(?:感情|意見|経験|好み|意識|身体)(?:や[^。、]{1,8})?(?:が|は|を)?(?:ありません|持っていません|持ちません|ないため)",
        "access": r"(?:リアルタイム|最新)の(?:情報|データ)に(?:は)?アクセス(?:できません|することができません)|インターネットに(?:は)?アクセス(?:できません|することができません)",
        "refusal": r"(?:申し訳ありません|申し訳ございません|すみません)が、[^。]{0,40}(?:お手伝い|お答え|提供|回答|お応え)(?:すること(?:は|が))?(?:は)?(?:できません|できかねます)",
    },
}  # fmt: skip

ABOUT_ITSELF = re.compile(
    r"\b(?:are|r|were) (?:you|u) (?:jewish|christian|muslim|black|white|gay|straight|male|female|single|married)\b"
    r"|\b(?:are|r|were) (?:you|u) (?:\w+ ){0,3}?(?:an? )?(?:\w+ )?(?:ai|a\.i\.|human|robot|bot|machine|computer|real|alive|conscious|sentient|self-aware|chat ?gpt|gpt|language model|person|program)\b"
    r"|\b(?:do|can|could|would|will) (?:you|u) (?:\w+ ){0,2}?(?:have|feel|experience|possess|get)(?: \w+){0,3} (?:feelings?|emotions?|emotional|consciousness|a body|a soul|a name|pain|lonely|sad|happy|tired|sleep|dreams?|bored|offended)\b"
    r"|\b(?:who|what|how old) (?:exactly )?(?:are|r) (?:you|u)\s*(?:\?|$|\.|,|exactly|really|called|made|capable|and)"
    r"|\bwhat(?:'s| is) your (?:name|gender|age|knowledge cut|training|architecture|purpose)|\bwhat (?:language )?model (?:are you|is this)"
    r"|\b(?:who|how) (?:made|created|built|trained|developed|programmed|were you|was you|are you (?:made|built|trained|created|programmed))\b.{0,12}\b(?:you|made|created|trained|built|programmed|developed)\b"
    r"|\byour (?:training data|knowledge cutoff|programming|algorithms?|developers?|creators?|limitations|capabilities)\b"
    r"|\bhow are you\b|\b(?:think|feel|thinking|feeling)(?: \w+){0,3} like (?:a human|humans|people)"
    r"|\bdo you (?:sleep|eat|dream|feel|exist|think you are)\b"
    r"|\bas an? (?:ai|language model)\b|\b(?:eres|es-tu|êtes-vous|bist du|sind sie|sei|você é|ben je) (?:\w+ )?(?:un |una |une |ein |eine |um |uma |een )?(?:ia|ki|ai|robot|humano|humain|mensch|umano)\b"
    r"|你是(?:谁|人|机器人|AI)|あなたは(?:AI|人間|ロボット|誰)|ты (?:робот|человек|ии)\b",
    re.IGNORECASE,
)
"""The user asks about the assistant itself; "what is your favourite film?" does not."""
WRITING = re.compile(
    r"\b(?:write|compose|draft|create|continue|tell|make up|generate|imagine|pretend|role[- ]?play|act as|play the role|"
    r"you are (?:a|an|the) |rewrite|translate|paraphrase|escrib[ea]|écri[st]|schreib|scrivi|escreva|schrijf|напиши)\b"
    r".{0,200}?\b(?:stor(?:y|ies)|tales?|dialogues?|dialogs?|conversations?|scripts?|scenes?|poems?|songs?|lyrics|letters?|"
    r"e-?mails?|monologues?|diary|blog|essay|speech|plays?|novel|chapters?|character|sketch|interview|joke|fiction|"
    r"sentences?|text|historia|histoire|geschichte|storia|história|verhaal|brief|carta|lettre|рассказ)",
    re.IGNORECASE | re.DOTALL,
)
"""The user asks for a text in which another may be speaking."""
