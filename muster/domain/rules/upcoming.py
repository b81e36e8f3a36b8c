"""What an agent says that it does next, in other languages than English, and that it has understood.

What is to be used, kept or never done is no step: that is a decision. Nor is what a program does, of which the same
verbs are said with what does it before them.
"""

from __future__ import annotations

import re
from functools import lru_cache

READ_CHARS = 600
"""Of one sentence."""

_MARK = r"[\W\d]{0,8}"
_ENDS = r"\W{0,6}$"
_LED = r"[,.!:;\s–-]{1,4}"


def _step(lead: str, says: str, keeps: str) -> re.Pattern[str]:
    """`keeps`: words of what is decided, or a rule, and no step."""
    return re.compile(rf"{_MARK}(?:(?:{lead}){_LED}){{0,4}}(?={says})(?![^\n]{{0,200}}\b(?:{keeps})\b)", re.IGNORECASE)


_RU = (
    r"(?:по)?смотр(?:ю|им)|взглян(?:у|ем)|глян(?:у|ем)|(?:пере)?провер(?:ю|им|яю|яем)|обнов(?:лю|им|ляю|ляем)|"
    r"добав(?:лю|им|ляю|ляем)|исправ(?:лю|им|ляю|ляем)|созда(?:м|дим|ю|[её]м)|измен(?:ю|им|яю|яем)|"
    r"изуч(?:у|им|аю|аем)|найд(?:у|[её]м)|ищ(?:у|ем)|поищ(?:у|ем)|запу(?:щу|стим|скаю|скаем)|попробу(?:ю|ем)|"
    r"убе(?:димся|жусь)|убер(?:у|[её]м)|удал(?:ю|им|яю|яем)|замен(?:ю|им|яю|яем)|нач(?:ну|н[её]м|инаю|инаем)|"
    r"приступ(?:лю|им|аю|аем)|перейд(?:у|[её]м)|перехо(?:жу|дим)|(?:со|пере)бер(?:у|[её]м)|"
    r"(?:про)?тестиру(?:ю|ем)|(?:про)?анализиру(?:ю|ем)|настро(?:ю|им)|(?:про|по)чита(?:ю|ем)|читаю|"
    r"посчита(?:ю|ем)|откро(?:ю|ем)|напиш(?:у|ем)|запиш(?:у|ем)|сдела(?:ю|ем)|реализу(?:ю|ем)|установ(?:лю|им)|"
    r"перепиш(?:у|ем)|сравн(?:ю|им)|разбер(?:у|[её]м)(?:ся|сь)?|выполн(?:ю|им|яю|яем)|подготов(?:лю|им)|"
    r"внес(?:у|[её]м)|вынес(?:у|[её]м)|перенес(?:у|[её]м)|переимену(?:ю|ем)|очи(?:щу|стим)|дополн(?:ю|им)|"
    r"уточн(?:ю|им)|скорректиру(?:ю|ем)|доработа(?:ю|ем)|продолж(?:у|им|аю|аем)|верн(?:у|[её]м)(?:ся|сь)?|"
    r"закоммит(?:лю|им)|запуш(?:у|им)"
)
_UK = (
    r"(?:по)?див(?:люся|имось|имося)|подив(?:люся|имося|імося|імось)|гляну(?:ти)?|(?:пере)?вір(?:ю|имо)|"
    r"перевір(?:ю|имо|яю|яємо)|онов(?:лю|имо|люю|люємо)|дода(?:м|мо|ю|ємо)|виправ(?:лю|имо|ляю|ляємо)|"
    r"створ(?:ю|имо|юю|юємо)|змін(?:ю|имо|юю|юємо)|запу(?:щу|стимо|скаю|скаємо)|вивч(?:у|имо|аю|аємо)|"
    r"(?:про)?аналізу(?:ю|ємо)|знайд(?:у|емо)|шука(?:ю|ємо)|спробу(?:ю|ємо)|видал(?:ю|имо|яю|яємо)|"
    r"замін(?:ю|имо)|почн(?:у|емо)|перейд(?:у|емо)|(?:про)?тесту(?:ю|ємо)|прочита(?:ю|ємо)|відкри(?:ю|ємо)|"
    r"напиш(?:у|емо)|зробл(?:ю|имо)|реалізу(?:ю|ємо)|встанов(?:лю|имо)|налашту(?:ю|ємо)|викона(?:ю|ємо)|"
    r"розбер(?:уся|емося)|підготу(?:ю|ємо)|переконаємося|переконаюся|продовж(?:у|имо)"
)
_PL = (
    r"sprawd(?:zę|źmy|zimy|zam)|zaktualizu(?:ję|jmy|jemy)|doda(?:m|jmy|my|ję)|uruchom(?:ię|my|imy)|napraw(?:ię|my|imy)|"
    r"popraw(?:ię|my|imy)|s?tworz(?:ę|ymy)|utw(?:orzę|órzmy|orzymy)|zobacz(?:ę|my|ymy)|przejrz(?:ę|yjmy|ymy)|"
    r"(?:prze)?analizu(?:ję|jmy|jemy)|zaczn(?:ę|ijmy|iemy)|przejd(?:ę|źmy|ziemy)|zmieni(?:ę|my)|usun(?:ę|iemy)|"
    r"usuńmy|nap(?:iszę|iszmy|iszemy)|zaimplementu(?:ję|jmy|jemy)|(?:prze)?testu(?:ję|jmy|jemy)|znajd(?:ę|źmy|ziemy)|"
    r"poszuka(?:m|jmy|my)|zainstalu(?:ję|jmy|jemy)|spróbu(?:ję|jmy|jemy)|otw(?:orzę|órzmy|orzymy)|"
    r"przeczyta(?:m|jmy|my)|wykona(?:m|jmy|my)|zbuduj(?:ę|my)|przygotu(?:ję|jmy|jemy)|kontynuuj(?:ę|my)"
)
_DE = (
    r"prüfe|schaue?|sehe mir|lese|suche|starte|führe|passe|füge|erstelle|aktualisiere|ergänze|behebe|korrigiere|ändere|"
    r"entferne|ersetze|öffne|untersuche|analysiere|teste|beginne|fange|mache|implementiere|baue|schreibe|installiere|"
    r"überprüfe|verifiziere|lege|lösche|verschiebe|benenne|committe|pushe|hole|rufe|richte|kümmere|bereite|setze"
)
_ZH = (
    r"查看|检查|檢查|看看|看一下|看下|看|确认|確認|运行|執行|执行|跑|读取|讀取|读|搜索|搜尋|查找|找|分析|更新|修改|"
    r"修复|修復|添加|"
    r"新增|增加|创建|建立|創建|编写|編寫|写|寫|测试|測試|验证|驗證|删除|刪除|替换|替換|安装|安裝|启动|啟動|开始|開始|"
    r"继续|繼續|处理|處理|实现|實作|實現|调整|調整|优化|優化|整理|提交|推送|打开|打開|重新|试|試|尝试|嘗試|研究|调查|"
    r"調查|了解|补充|補充|"
    r"完善|构建|構建|编译|編譯|部署|重构|重構|下载|下載|列出|梳理|对比|對比|比较|比較|总结|總結|生成|准备|準備|帮你|"
    r"幫你|为你|為你|把|将|將|"
    r"对|對|从|從|给|給"
)
_VI = (
    r"kiểm tra|xem|chạy|cập nhật|thêm|sửa|tạo|tìm|đọc|mở|phân tích|bắt đầu|tiến hành|thử|cài|xóa|xoá|viết|đổi|thay|"
    r"triển khai|khám phá|rà soát|xác minh|tiếp tục|chuyển sang"
)
_ES = (
    r"(?:revis|busc|ejecut|actualiz|agreg|cre|verific|comprob|compil|modific|implement|prob|analiz|examin|instal|"
    r"inici|empez|comenz|elimin|cambi|mir|explor|prepar|investig)(?:aré|aremos|emos)|comencemos|empecemos|"
    r"(?:revis|busc|ejecut|actualiz|agreg|verific|compil|modific|implement|analiz|examin|instal|elimin|explor|"
    r"investig)o|compruebo|"
    r"busquemos|verifiquemos|modifiquemos|añad(?:iré|iremos|amos|o)|corr(?:egiré|egiremos|ijamos|ijo)|le(?:eré|amos)|"
    r"ver(?:é|emos)|veamos|abr(?:iré|amos|o)|escrib(?:iré|amos|o)|corr(?:eré|eremos|amos)|har(?:é|emos)|hagamos|"
    r"continú(?:o|emos)|continuemos|continuaré"
)
_IT = (
    r"(?:controll|verific|aggiorn|cre|modific|analizz|esamin|prov|install|cerc|elimin|guard|esplor|prepar|inizi|"
    r"test|compil|implement)(?:erò|eremo|iamo|hiamo)|(?:verific|aggiorn|modific|analizz|esamin|install|elimin|esplor|"
    r"compil|implement)o|(?:cerch|verifich|modifich|inizi|cominci)(?:iamo|amo)|"
    r"esegu(?:irò|iremo|iamo|o)|aggiung(?:erò|eremo|iamo|o)|corregg(?:erò|iamo|o)|legg(?:erò|iamo|o)|vediamo|apriamo|"
    r"apro|scriv(?:erò|iamo|o)|rimuov(?:erò|iamo|o)|procediamo|continuiamo|facciamo"
)
_FR = (
    r"vérifi(?:e|ons)|regard(?:e|ons)|ajout(?:e|ons)|mettons|lan[cç](?:e|ons)|exécut(?:e|ons)|cré(?:e|ons)|"
    r"corrige(?:ons)?|lis(?:ons)?|cherch(?:e|ons)|examin(?:e|ons)|commen[cç](?:e|ons)|pass(?:e|ons)|analys(?:e|ons)|"
    r"modifi(?:e|ons)|supprim(?:e|ons)|test(?:e|ons)|install(?:e|ons)|ouvr(?:e|ons)|écri(?:s|vons)|voyons|mets à jour|"
    r"continu(?:e|ons)|explor(?:e|ons)|remplac(?:e|eons)"
)

_BEGINS = (
    # Russian
    _step(r"хорошо|отлично|понял[аи]?|ок|теперь|сначала|далее|дальше|затем|сейчас|также|ещё|еще|потом|после этого|"
          r"для начала|и|а|но|итак|прежде всего|следующим шагом|наконец|в первую очередь|perfect|great|ok",
          rf"давай(?:те)?\b(?: (?:я|мы|теперь|сначала|также|ещё|еще|сейчас|вместе)){{0,3}} (?!не\b|решим|договоримся)\w"
          rf"|(?:я |мы )?(?:теперь |сейчас |сначала |также |ещё |еще |быстро |заодно )?(?:{_RU})\b"
          r"|(?:я |мы )?(?:буду|будем|собираюсь|собираемся) (?!(?:в|на|с|к|у|и)\b)\w{2,20}(?:ть|ти|чь|ться|тись)\b"
          r"|(?:теперь|сначала|далее|затем|также) (?:нам |мне )?(?:нужно|надо|необходимо) (?:убедиться|проверить|"
          r"исправить|"
          r"обновить|добавить|создать|посмотреть|найти|изменить|получить|понять|изучить|запустить|протестировать)\b"
          r"|(?:я |мы )?(?:также )?(?:нужно|надо|необходимо|осталось|следует) (?:также |ещё |еще |теперь |сначала )?"
          r"\w{2,20}(?:ть|ти|чь)\b[^\n]{0,300}[:：]\W{0,4}$",
          r"использовать|использоваться|применять|придерживаться|держаться|всегда|никогда|не будем|не буду|не стоит|"
          r"останемся|остановимся|потому что|так как|поскольку"),
    # Ukrainian
    _step(r"добре|чудово|тепер|спочатку|далі|потім|зараз|також|ще|і|а|отже|наступним кроком|насамперед|зрозуміло",
          rf"давай(?:те)?\b (?!не\b|вирішимо)\w|(?:я |ми )?(?:тепер |зараз |також |ще )?(?:{_UK})\b"
          r"|(?:я |ми )?(?:буду|будемо|збираюся|збираємося) \w{2,20}ти\b",
          r"використовувати|завжди|ніколи|дотримуватися|не буду|не будемо|тому що|оскільки"),
    # Polish
    _step(r"dobrze|świetnie|teraz|najpierw|następnie|potem|dalej|też|również|i|a|więc|na początek|ok|rozumiem",
          rf"(?:pozwól,? że |pozwólcie,? że )?(?:{_PL})\b|(?:będę|będziemy) \w{{2,20}}(?:ć|ł|ła|li)\b|"
          r"(?:zamierzam|zamierzamy|muszę teraz) \w{2,20}ć\b|spójrzmy|rzućmy okiem|rzucę okiem",
          r"używać|używał|używali|zawsze|nigdy|ponieważ|bo|nie będę|nie będziemy|zostać|trzymać"),
    # German
    _step(r"ok(?:ay)?|gut|perfekt|super|alles klar|verstanden|jetzt|nun|dann|zuerst|zunächst|und|also|so|danach|"
          r"anschließend|als nächstes|als erstes|abschließend|zum schluss|prima|gerne?|nun gut",
          r"(?:ich|wir) (?:werde|werden|will|möchte|muss|müssen) (?:(?:jetzt|nun|zuerst|zunächst|dann|als nächstes|mir|"
          r"uns|noch|kurz|erst|mal|nur) )*[^.\n]{0,200}\w{2,30}(?:en|ern|eln|ehen|un)\b"
          r"|werde (?:ich|wir) |(?:lass|lassen sie) (?:mich|uns)\b"
          r"|(?:schauen|sehen) wir (?:uns|mal|nun|jetzt)\b"
          rf"|(?:ich )(?:{_DE}) (?!(?:das )?problem|da(?:ss|,)|keine?n?\b)"
          rf"|(?:{_DE})n? (?:ich|wir)\b|(?:jetzt|nun) (?:{_DE})n? (?:ich|wir)\b",
          r"verwenden|nutzen|benutzen|einsetzen|bleiben|beibehalten|behalten|umsteigen|nie|niemals|immer|nicht|"
          r"kein\w{0,2}|"
          r"weil|entschieden|verzichten|hätte\w?|würde\w?"),
    # French
    _step(r"ok|d['’]accord|bien|très bien|parfait|super|maintenant|ensuite|puis|d['’]abord|tout d['’]abord|et|alors|"
          r"enfin|pour commencer|compris|bon|à présent|aussi",
          r"(?:je|j['’]) ?(?:vais|m['’]apprête à|dois (?:maintenant|d['’]abord))\b|(?:nous allons|on va)\b|"
          r"laisse(?:z)?[- ]moi\b|"
          rf"permet(?:s|tez)[- ]moi\b|je (?:{_FR})\b|(?:{_FR})\b(?<=ons)|procédons\b|allons[- ]y\b",
          r"utiliser|garder|rester|opter|toujours|jamais|parce que|car|ne pas|n['’]allons pas|adopter|conserver|"
          r"utilise|"
          r"utilisons|gardons"),
    # Spanish
    _step(r"ok|vale|bien|perfecto|genial|excelente|ahora|primero|luego|después|a continuación|y|también|entonces|"
          r"por último|finalmente|entendido|de acuerdo|claro|muy bien|listo",
          r"(?:voy|vamos) a\b|d[eé]ja(?:me|nos)\b|déjeme\b|perm[ií]t(?:e|a)me\b|procedo a\b|procedamos a\b|"
          rf"pasemos a\b|(?:{_ES})\b(?! (?:que|si se)\b)",
          r"usar|utilizar|mantener|quedarnos|optar|siempre|nunca|porque|jamás|conservar|adoptar"),
    # Portuguese
    _step(r"ok|certo|bem|perfeito|ótimo|excelente|agora|primeiro|depois|em seguida|a seguir|e|também|então|"
          r"por fim|entendi|entendido|claro|beleza",
          r"(?:eu )?(?:vou|irei|iremos|vamos)(?: agora| primeiro| também)? (?!(?:bem|embora|para|de|ao|"
          r"à)\b)\w{2,20}[aei]r\b|"
          r"deix[ae](?:-me| eu|[- ]me)\b|permita[- ]me\b",
          r"usar|utilizar|manter|ficar|optar|sempre|nunca|porque|jamais|adotar"),
    # Italian
    _step(r"ok|va bene|bene|perfetto|ottimo|ora|adesso|prima|poi|quindi|e|anche|allora|infine|per prima cosa|"
          r"successivamente|capito|certo|dunque",
          r"(?:sto per|vado a|andiamo a|procedo (?:a|con)|andrò a)\b|lascia(?:mi|temi)\b|fammi\b|permettimi di\b|"
          rf"diamo un['’]occhiata\b|do un['’]occhiata\b|(?:{_IT})\b(?! che\b)",
          r"usare|useremo|utilizzeremo|utilizzare|mantenere|restare|sempre|mai|perché|terremo|adottare"),
    # Dutch
    _step(r"ok(?:é)?|goed|prima|perfect|nu|eerst|dan|daarna|vervolgens|en|ook|dus|tot slot|als volgende|begrepen|"
          r"laten we beginnen",
          r"(?:ik|we) (?:ga|gaan|zal|zullen)(?: (?:nu|eerst|ook|dan))? [^.\n]{0,200}\w{2,30}en\b|(?:ga|zal) ik\b|"
          r"laat (?:me|mij)\b|laten we\b",
          r"gebruiken|blijven|houden|behouden|altijd|nooit|niet|geen|omdat|overstappen|kiezen|afspreken"),
    # Vietnamese
    _step(r"được rồi|tốt|tuyệt vời|ok|bây giờ|giờ|trước tiên|đầu tiên|tiếp theo|sau đó|và|vậy|rồi|hiểu rồi|cuối cùng",
          rf"(?:hãy|để tôi|để mình|cho phép tôi) (?:\w{{1,8}} ){{0,2}}?(?:{_VI})\b|"
          rf"(?:tôi|mình|em|chúng ta|ta) (?:sẽ|hãy|cần|phải)(?: (?:bắt đầu|tiến hành|cùng|đi))? (?:{_VI})\b",
          r"không|luôn|đừng|vì|bởi vì|dùng|sử dụng"),
    # Indonesian
    _step(r"baik|oke|ok|bagus|sekarang|pertama|kemudian|selanjutnya|lalu|dan|jadi",
          r"(?:saya|kita|kami) akan (?:\w{2,12} ){0,2}?(?:me|mulai|cek|buat|lihat|jalan|coba|per)\w{0,20}\b|"
          r"(?:mari|ayo) (?:kita )?\w|biarkan saya\b|izinkan saya\b",
          r"menggunakan|memakai|selalu|tidak|jangan|karena|tetap"),
    # Swedish, Danish and Norwegian
    _step(r"ok(?:ej)?|bra|perfekt|nu|nå|först|først|sedan|så|därefter|derefter|och|og|nästa steg|forstått|förstår",
          r"(?:jag|jeg|vi) (?:ska|skal|kommer att|tänker|vil) (?:nu |nå |först |først )?\w|(?:ska|skal) (?:jag|jeg)\b|"
          r"(?:låt|lad|la) (?:mig|meg|oss|os)\b",
          r"använda|bruke|bruge|behålla|beholde|alltid|altid|aldrig|aldri|inte|ikke|eftersom|fordi"),
    # Arabic
    _step(r"حسنا|حسنًا|ممتاز|رائع|الآن|أولا|أولاً|ثم|بعد ذلك|فهمت|و",
          r"[وف]?(?:سأقوم|سنقوم|سوف أقوم|سوف نقوم|سأبدأ|سنبدأ|سأتحقق|سنتحقق|سأضيف|سنضيف|سأحدث|سأحدّث|سنحدث|سأصلح|سنصلح|"
          r"سأنشئ|سننشئ|سأشغل|سأشغّل|سنشغل|سأبحث|سنبحث|سأقرأ|سأفحص|سنفحص|سأراجع|سأنظر|سنلقي|سألقي|سأعدل|سأعدّل|سأكتب|"
          r"سأحذف|"
          r"سأجرب|سأختبر|سأستعرض|سأطلع|سأطّلع|دعني|دعنا|دعونا|لنبدأ|لنتحقق|لنقم|لنلق|فلنبدأ|هيا)(?!\w)",
          r"استخدام|سنستخدم|نستخدم|دائما|دائمًا|أبدا|لأن|الإبقاء"),
    # Chinese
    re.compile(
        rf"{_MARK}(?:(?:好的?|明白了?|了解|收到|太好了|很好|完美|现在|現在|接下来|接下來|首先|然后|然後|下一步|最后|"
        rf"最後|那么|那麼|另外|同时|同時|再|先|"
        r"下面)[，,。！!：:、\s]{0,3}){0,4}(?:"
        rf"(?:让我们?|讓我們?|我们?|我們|咱们)(?:现在|現在|接下来|接下來|首先|马上|馬上|正在|先|来|來|会|會|将|將|要|"
        rf"去|再|需要先|得先|这就|這就){{1,3}}"
        rf"(?:快速|再次|重新|一起|来|來|先|再|仔细|仔細|逐一|直接|开始|開始)?(?:{_ZH})"
        rf"|(?:让我们?|讓我們?)(?:{_ZH}|来|來)"
        rf"|(?:现在|現在|接下来|接下來|下一步|首先|然后|然後|下面|先)[，,]?(?:开始|開始|来|來|再|就|我们?|"
        rf"我們)?(?:{_ZH}))"
        r"(?![^\n]{0,120}(?:使用|采用|採用|选用|選用|沿用|保留|决定|決定|因为|因為|不再|一律|总是|總是|"
        r"了(?:[，。,；]|$)))"
    ),
)  # fmt: skip

_JA_LED = re.compile(
    r"\W{0,6}(?:承知しました。|了解しました。|では|それでは|まずは?|次に|続けて|続いて|最後に|最終的に|これから|"
    r"今から|その後|並行して|"
    r"あわせて|合わせて|同時に|仕上げ(?:に|として)|さらに|引き続き|念のため|早速|では早速|ここで(?!は)|今度は)"
)
_JA_DOES = (
    r"(?:確認|実行|追加|修正|変更|更新|作成|調査|検索|検証|適用|反映|実装|開始|特定|整理|分解|依頼|報告|追記|削除|"
    r"置換|提示|精査|移行|再試行|"
    r"再実行|点検|統一|要約|共有|着手|拡張|整備|分析|比較|テスト|ビルド|コミット|プッシュ|インストール|"
    r"リファクタ(?:リング)?|レビュー|チェック|解析|"
    r"把握|準備|調整|改善|導入|編集|記録|記載|明示|明確化|再確認|最終化|延長|実施|続行|検討|対応|洗い出|割り当て|"
    r"進め|始め|見|読|調べ|試|直|"
    r"書|書き換え|入れ|行|差し替え|切り替え|置き換え|上書き|組み込|まとめ|減ら|探|開|移|取りかか|取り掛か|走らせ|"
    r"当て|計測|測定|集計|収集|"
    r"抽出|再生成|ダウンロード|最新化|固定|強化|補強|撤去|最適化|簡素化|共通化|分離|抜き出|貼り替え|残|追従|延ば|"
    r"見直|押さえ|固め|待ち|待機)"
)
_JA_ENDS = re.compile(
    rf"{_JA_DOES}[^\s、。「」]{{0,8}}?(?<!でき)(?<!れ)(?<!なり)(?<!あり)(?<!てい)(?<!思い)(?<!され)(?:ます|"
    rf"ましょう)ね?\W{{0,3}}$"
)
_JA_ANY = re.compile(
    r"(?:を|に|で|から|まで)[^。]{0,60}?(?<!でき)(?<!れ)(?<!なり)(?<!あり)(?<!てい)(?<!思い)(?<!発生し)(?<!失敗し)"
    r"(?:ます|ましょう)ね?\W{0,3}$"
)
_JA_GOES_ON = re.compile(
    r"(?:進めて|確認して|調査して|待って|実行して|待機して|作業して|取得して)い(?:ます|るところです)\W{0,3}$|"
    r"(?:実装|進行|作業|処理|実行|確認|ビルド|テスト|待機|調査|修正)中です\W{0,3}$"
)
_JA_OWN = re.compile(r"(?:実装|修正|追記|着手|差し替え|よう(?:に)?変更|編集)[^\s、。]{0,6}ます\W{0,3}$")
"""No program does so."""
_JA_WHO = re.compile(
    r"(?:^|、)[^、。]{1,60}?(?<![でにとの])(?<!また)(?<!まず)(?<!今回)(?<!今)(?<!ここ)(?<!私)(?<!最後に)は(?!じめ|"
    r"っきり|ず)"
)
_JA_SUBJECT = re.compile(r"[^、。が]{1,60}が[^、。を]{0,60}を[^、。]{0,60}$")
_JA_EMBEDS = re.compile(r"(?:ないか|るか|たか|かどうか|いかを|ことを|点を|よう|ため|ので|ている|した|する)")

_KO_LED = re.compile(
    r"\W{0,6}(?:이제|먼저|우선|다음으로|그 ?다음|그럼|이어서|마지막으로|지금|일단|바로|네,|좋습니다[.,]|"
    r"알겠습니다[.,])\s"
)
_KO_DOES = (
    r"(?:확인|실행|추가|수정|변경|업데이트|작성|생성|조사|검색|검증|적용|반영|구현|시작|정리|분석|비교|테스트|빌드|"
    r"커밋|푸시|push|commit|설치|"
    r"검토|점검|준비|조정|개선|삭제|제거|교체|전환|진행|시도|재시도|재작성|디버그|디버깅|추출|수집|다운로드|배포|"
    r"파악|탐색|조회|fetch|측정|"
    r"리팩터링|리팩토링|호출|우회|주입|살펴|찾아|읽어|열어|고쳐|만들어|봐|볼|처리|계속)"
)
_KO_INTENDS = re.compile(
    r"(?<!좋)(?<!되)(?<!있)(?<!없)(?<!모르)(?<!알)(?<!같)(?:겠습니다|겠어요|보겠(?:습니다|음)|(?:[할볼줄]|을|"
    r"[가-힣]릴|올릴|돌릴|맞출)게(?:요)?|"
    r"합시다|해 ?봅시다|해 ?볼까요)\W{0,3}$"
)
_KO_DOES_NOW = re.compile(rf"{_KO_DOES}[가-힣\s]{{0,3}}?(?:합니다|해 ?봅니다|봅니다|올립니다|할게|해볼게)\W{{0,3}}$")
_KO_WHO = re.compile(
    r"[가-힣\w`)]+(?<!하)(?<!되)(?<!있)(?<!없)(?<!이)(?<!저)(?<!나)(?<!내)(?<!제)(?:은|는|이|가)\s(?!아니)"
)
_KO_TELLS = re.compile(r"[가-힣)]\.\s+\S")
"""What is told before it, in one line with it."""
_KO_KEEPS = re.compile(r"(?:사용|채택|유지|선택|결정)(?:하|할|합)|않|안 하|기로|때문|므로")

_TR = re.compile(
    r"(?:^|\s)(?!\w{0,20}m[ae]y[ae]c)(?:\w{2,20}(?:y?acağım|y?eceğim|y?acağız|y?eceğiz|alım|elim|ayım|eyim)|"
    r"(?:çalıştır|ekli|güncelli|düzelti|oluşturu|inceli|başlı|deni|okuyor|arıyor|açıyor|kuruyor|siliyor|yazıyor|"
    r"geçi|bakı|(?:kontrol|test|devam|analiz) edi)(?:yorum|ıyorum|iyorum|uyorum|yoruz|um|uz))\W{0,4}$",
    re.IGNORECASE,
)
_TR_KEEPS = re.compile(r"\b(?:kullan\w*|kal\w{2,12}|her zaman|asla|çünkü|hiçbir|vazgeç\w*|seç\w*)\b", re.IGNORECASE)
_HI = re.compile(
    r"(?:ूँगा|ूंगा|ूँगी|ूंगी|(?:^|[\s,।])(?:हम|चलिए|आइए|चलो)[^।\n]{0,200}(?:ेंगे|ते हैं|ें)|(?:कर|देख|चला|जोड़|बना|"
    r"पढ़|खोज)"
    r"(?:ता|ती|ते|\s?रहा|\s?रही) (?:हूँ|हूं)|देखने (?:दें|दीजिए)|करने (?:दें|दीजिए))[\s।.:…]{0,4}$"
)
_HI_KEEPS = re.compile(r"(?:उपयोग|इस्तेमाल|प्रयोग) कर|हमेशा|कभी|नहीं|क्योंकि|चाहिए")
_TH = re.compile(
    r"\W{0,6}(?:ตอนนี้|ต่อไป|ก่อนอื่น|จากนั้น|โอเค|ได้ครับ|ได้ค่ะ)?\s?(?:(?:ผม|ฉัน|ดิฉัน|เรา)จะ|ขอ|มา)(?:ตรวจ|ดู|รัน|"
    r"เพิ่ม|แก้|สร้าง|อัป|อ่าน|ทดสอบ|เริ่ม|ค้นหา|ลอง|เปิด|ลบ|เขียน)"
)

_KNOWN = re.compile(
    rf"{_MARK}(?:"
    r"(?:(?:хорошо|отлично|понял[аи]?|понимаю|понятно|ясно|готово|вижу|супер|замечательно|превосходно)[\s,!.]{0,3})+"
    r"(?:(?:теперь )?(?:я )?(?:понимаю|вижу|понял[аи]?)(?: (?:текущую |полную |всю |саму |реальную )?"
    r"(?:проблему|структуру|архитектуру|ситуацию|картину|задачу|причину|логику)(?: [^\W\d]{2,20}){0,3})?)?"
    r"|(?:теперь |а )*(?:я )?(?:понимаю|вижу|понял[аи]?)(?: (?:текущую |полную |всю |саму |реальную )?"
    r"(?:проблему|структуру|архитектуру|ситуацию|картину|задачу|логику)(?: [^\W\d]{2,20}){0,3})?"
    r"|ви (?:абсолютно )?праві|вы (?:абсолютно |совершенно )?правы|зрозуміло|чудово|"
    r"тепер я розумію(?: [^\W\d]{2,20}){0,2}"
    r"|verstanden|alles klar|perfekt|(?:sie haben|du hast) (?:völlig |absolut )?recht|"
    r"jetzt verstehe ich(?: das problem)?"
    r"|compris|parfait|vous avez (?:tout à fait )?raison|tu as (?:tout à fait )?raison|je comprends(?: (?:maintenant|"
    r"le problème))?"
    r"|entendido|perfecto|excelente|tienes (?:toda la )?razón|tiene (?:toda la )?razón|"
    r"ahora (?:lo )?entiendo(?: el problema)?"
    r"|entendi|perfeito|ótimo|você (?:está|tem) (?:certo|razão)|capito|perfetto|ottimo|hai ragione|ha ragione|begrepen"
    r"|rozumiem|świetnie|masz rację|anladım|harika|haklısın(?:ız)?|فهمت|ممتاز|أنت محق|समझ गया|समझ गई|बहुत बढ़िया|"
    r"आप सही हैं"
    r"|hiểu rồi|tuyệt vời|bạn nói đúng|tốt lắm"
    r"|(?:承知|了解)(?:いた)?しました|わかりました|分かりました|ご指摘(?:の通り|ありがとうございます)(?:です)?|"
    r"(?:編集|修正|変更|実装|追加修正|"
    r"スタイル変更|追加|主要実装)(?:は|を|の)?(?:反映|適用|完了|一通り完了|反映完了)(?:しました|です|できました|"
    r"済みです)"
    r"|알겠습니다|좋습니다|완벽합니다|이해했습니다|네|좋아|확인했습니다|맞습니다"
    r"|明白了?|好的|了解|收到|我明白了|我知道了|您说得对|你说得对|您說得對|你說得對|太好了|很好|完美|现在我(?:明白|"
    r"了解|清楚)了(?:问题|問題)?"
    r")[\s.,!。！、，:：…]{0,4}",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\b(?:потому что|так как|поскольку|из-за того|оскільки|тому що|ponieważ|omdat|perché|poiché|obwohl|puesto que|"
    r"ya que|car|puisque|denn|da sonst|çünkü|karena|eftersom|fordi)\b|(?:した|ない|不可な|ている)(?:ため(?!に)|ので)|"
    r"因为|因為|由于|由於|때문에|므로|لأن|क्योंकि|bởi vì|เพราะ",
    re.IGNORECASE,
)


@lru_cache(256)
def is_ahead(line: str) -> bool:
    """It says what is done next. A sentence is asked about several times."""
    head = line[:READ_CHARS]
    if any(begins.match(head) for begins in _BEGINS):
        return True
    if line.isascii() or len(line) > READ_CHARS:
        return False
    return (
        _is_japanese_step(line)
        or _is_korean_step(line)
        or (_TR.search(line) is not None and not _TR_KEEPS.search(line))
        or (_HI.search(line) is not None and not _HI_KEEPS.search(line))
        or _TH.match(line) is not None
    )


def understands(line: str) -> bool:
    """ "Understood!", and that something is done, with not a word of what."""
    return _KNOWN.fullmatch(line[:200]) is not None


def has_reason(line: str) -> bool:
    return _REASON.search(line[:READ_CHARS]) is not None


def _is_japanese_step(line: str) -> bool:
    if _JA_GOES_ON.search(line):
        return True
    if _JA_OWN.search(line):
        return True
    if _JA_WHO.search(line):
        return False
    last = line.rstrip("。.!！:： ").rpartition("、")[2]
    if _JA_SUBJECT.match(last) and not _JA_EMBEDS.search(last):
        return False
    return (_JA_ENDS.search(line) or (_JA_LED.match(line) and _JA_ANY.search(line))) is not None


def _is_korean_step(line: str) -> bool:
    if _KO_KEEPS.search(line) or _KO_TELLS.search(line):
        return False
    if _KO_INTENDS.search(line):
        return True
    if _KO_WHO.search(line) and not _KO_LED.match(line):
        return False
    return _KO_DOES_NOW.search(line) is not None
