"""Program text that speaks of a secret stays byte for byte. Of what holds one, the value goes and the rest stays."""

from __future__ import annotations

from typing import Any

import pytest

from muster.domain.privacy import scrub, scrub_text

SPEAKS_OF_ONE = {
    "python": r"""
if password == user.password: return
if password == user.password:
if user.password != password and token == other.token:
self.password = password
self._password = new_password
self.api_key = api_key
user.password = hashed
password = user.password
token = request.headers.get("Authorization")
def login(user: str, password: str, token: str | None = None) -> Token:
def connect(*, host, password=None, api_key=None): ...
    password: SecretStr
    password: str | None = None
    password: Optional[str] = None
    client_secret: SecretStr = Field(default=SecretStr(""))
client = Client(user=user, password=password, token=token)
client = Client(password=args.password, api_key=settings.api_key)
    password=config.db_password,
    password=password,
password = getpass.getpass("Password: ")
password = input("Enter your password: ")
pw = getpass("Password: ")
password = os.environ["DB_PASSWORD"]
password = os.environ.get("DB_PASSWORD", "")
password = None if anonymous else secret
password = await vault.read("db")
assert user.check_password(password)
headers = {"Authorization": f"Bearer {token}", "X-Api-Key": api_key}
headers["Authorization"] = "Bearer " + token
headers["Authorization"] = f"Token {self.token}"
parser.add_argument("--password", help="the password of the database")
print(f"password={password}")
logger.info("password: %s", password)
url = f"postgres://{user}:{password}@{host}/{name}"
url = "postgres://%s:%s@%s/%s" % (user, password, host, name)
cookie = SimpleCookie()
cookie = request.cookies.get("session")
raise ValueError("password: must have 12 characters")
FIELDS = ("password", "email", "api_key")
PASSWORD = "password"
tokens = tokenizer.encode(text, max_tokens=512)
api_key = config.api_key2
yield password, token
def is_password(value: str) -> TypeGuard[Password]:
password = encoder.decode()
if not password: raise Missing("password")
password = password or getpass()
f(password=pw, token=tok)
requests.get(url, auth=(user, password))
password = vault.data["password"]
_Shape(("pass:",), PASS, only("password"), "password"),
path, token = f"/v1/sessions/{session['id1']}", None
headers = {"Authorization": f"Bearer {key['key']}"}
return {"user": user, "password": password}
return dict(user=user, password=row.password_hash)
@password.setter
""",
    "typescript": r"""
if (password === confirmPassword) {
if (password !== user.password) throw new Error("password: does not match");
const { username, password } = req.body;
const password = req.body.password;
let token = localStorage.getItem("token");
this.password = password;
this.token = token ?? null;
interface Login { username: string; password: string; token?: string }
password: string;
password: string | null;
password?: string;
  password: Buffer,
  accessToken: Promise<string>;
function login(username: string, password: string): Promise<Token> {
const user = await User.create({ email, password: hashedPassword });
const user = await User.create({ email, password: hash, token: newToken });
  body: JSON.stringify({ username, password: form.password }),
  headers: { Authorization: `Bearer ${token}` },
  headers: { authorization: 'Bearer ' + token },
  headers: { Authorization: req.headers.authorization },
document.cookie = `sid=${sid}; path=/`;
const cookie = req.headers.cookie;
if (cookie === undefined) {
  password: z.string().min(12),
<input type="password" name="password" value={password} />
<label htmlFor="password">Password</label>
  password: process.env.DB_PASSWORD,
  apiKey: process.env.API_KEY ?? "",
const password = user?.password;
password: this.state.password
password => validate(password)
enum Field { Password = 3, Token = 4 }
const token: string = await getToken();
  password: values.password!,
export const PASSWORD = 'password';
const url = `https://${user}:${password}@${host}`;
""",
    "go": r"""
if password == user.Password {
if token != cfg.Token && secret == nil {
password := os.Getenv("DB_PASSWORD")
cfg.Password = password
cfg.Password = os.Getenv("DB_PASSWORD")
func Login(user string, password string, token *Token) error {
	Password string `json:"password"`
	Password: password,
	Password: cfg.Database.Password,
req.Header.Set("Authorization", "Bearer "+token)
db, err := sql.Open("pgx", fmt.Sprintf("user=%s password=%s", user, password))
""",
    "java": r"""
if (password == null || password.isEmpty()) {
this.password = password;
private final String password;
char[] password = new char[8];
char[] password = console.readPassword("Password: ");
String password = request.getParameter("password");
public User(String name, String password, String token) {
String token = tokens.next();
user.setPassword(passwordEncoder.encode(password));
@Value("${spring.datasource.password}") String password;
return "User(password=" + password + ")";
val password: String,
val token: Token?
""",
    "rust": r"""
if password == user.password {
pub password: String,
pub password: Option<String>,
pub token: Option<Secret<String>>,
fn login(user: &str, password: &str) -> Result<Token> {
let password = env::var("DB_PASSWORD")?;
let password = user.password.clone();
User { name, password: password.to_string(), token }
User { password: Secret::default(), token: Token::Ident }
self.password = password;
""",
    "sql": r"""
SELECT id, password, token FROM users WHERE password = $1;
SELECT id FROM users WHERE password = ? AND token = ?
SELECT id FROM users WHERE password = :password AND token = @token
SELECT * FROM users u JOIN old o ON u.password = o.password
UPDATE users SET password = crypt($1, gen_salt('bf')) WHERE id = $2;
UPDATE users SET password = NULL, token = NULL;
INSERT INTO users (name, password) VALUES ($1, $2) ON CONFLICT DO UPDATE SET password = excluded.password
password VARCHAR(255) NOT NULL, token TEXT, api_key UUID
ALTER ROLE app WITH PASSWORD '%s'
ALTER TABLE users ADD COLUMN password_hash text;
CREATE UNIQUE INDEX token_key ON tokens (key);
""",
    "shell": r"""
read -s -p "Password: " password
if [ "$password" == "$other" ]; then
if [[ -z "$DB_PASSWORD" ]]; then echo "password: missing"; fi
password=$1
PWD=/home/me OLDPWD=/home/me/x make
password=`cat /run/secrets/db`
password="$1"
PASSWORD=$(cat /run/secrets/db)
PASSWORD="${PASSWORD:-}"
PASSWORD=${DB_PASSWORD:-$PASSWORD}
: "${API_KEY:?must be set}"
curl -H "Authorization: Bearer $TOKEN" https://x.example
curl -H "Authorization: Bearer ${TOKEN}" -u "$USER:$PASSWORD" https://x.example
curl -H 'Authorization: Bearer <token>' https://x.example
mysql -u root -p"$PASSWORD" db
docker login --password-stdin
muster login --password "$PASSWORD" --token "$TOKEN"
usage: db [--password PASSWORD] [--token TOKEN]
see the reset-password page and the api-token list
""",
    "what is written about it": r"""
# password: the one of the database
:param password: user's password
 * @param {string} password - what the user typed
password: your account password
| `password` | `string` | who may come in |
it uses bearer authentication everywhere
give it with `--password=`, or in `DB_PASSWORD`
type: password
password: var.password
password: !Ref DatabasePassword
GITHUB_TOKEN: ${{ secrets.GITHUB_TOKEN }}
MUSTER_API_KEY=mst_… muster tasks
'password' => $request->password,
user.password = "#{generated}"
  - $ref: '#/components/schemas/Password'
""",
}


@pytest.mark.parametrize("line", [line for lines in SPEAKS_OF_ONE.values() for line in lines.strip("\n").split("\n")])
def test_what_speaks_of_one_stays_byte_for_byte(line: str) -> None:
    assert scrub_text(line) == line
    within = {"patch": f"before\n{line}\nafter", "lines": [line]}
    assert scrub(within) == (within, ({}, None))


GONE = "hunter2x9"


@pytest.mark.parametrize(
    "line",
    [
        # literals
        'if password == "{}": return',
        "if (password === '{}') {",
        "self.password = '{}'",
        'password: str = "{}"',
        'const password: string = "{}";',
        'let password: &str = "{}";',
        'var password string = "{}"',
        'String password = "{}";',
        'char password[] = "{}";',
        'password = b"{}"',
        'password = r"{}"',
        'password = SecretStr("{}")',
        'let password = Secret::new("{}");',
        'let password = String::from("{}");',
        'password := []byte("{}")',
        "const password = `{}`;",
        'password = """{}"""',
        "sshpass -p{} ssh x",
        "the password: `{}` is for the database",
        'Client(user="ada", password="{}", token=token)',
        "new Client({{ user: 'ada', password: '{}' }})",
        'user.setPassword("{}");',
        'builder.user("ada").password("{}").build()',
        'os.environ["DB_PASSWORD"] = "{}"',
        'os.environ.setdefault("DB_PASSWORD", "{}")',
        'password = os.getenv("DB_PASSWORD", "{}")',
        'monkeypatch.setenv("API_TOKEN", "{}")',
        "env('DB_PASSWORD', '{}')",
        'props.put("password", "{}");',
        'headers["Authorization"] = "{}"',
        'headers = {{"X-Api-Key": "{}"}}',
        'req.Header.Set("X-Api-Key", "{}")',
        'assert user.check_password("{}")',
        # settings
        "DB_PASSWORD={}",
        "export DB_PASSWORD='{}'",
        "DB_PASSWORD={}  # of the database",
        "JWT_SECRET={}",
        "api.key: {}",
        "api.key={}",
        "spring.datasource.password={}",
        "  password: {}",
        "  - password: {}",
        "password = {}",
        "POSTGRES_PASSWORD: ${{POSTGRES_PASSWORD:-{}}}",
        'PASSWORD="${{PASSWORD:-{}}}"',
        "Server=db;User Id=sa;Password={};Encrypt=true",
        # addresses, headers, commands
        "postgres://ada:{}@db/x",
        "https://x.example/?api_key={}&page=2",
        "Authorization: Bearer {}",
        'curl -H "Authorization: token {}" https://x.example',
        "curl -H 'X-Api-Key: {}' https://x.example",
        "curl -u ada:{} https://x.example",
        "db --password {} --user ada",
        "db --db_password {} --user ada",
        "db --api_key {} --user ada",
        "db --github-api-token={} --user ada",
        "keytool -list -storepass {} -v",
        "setx GITHUB_TOKEN {}",
        "set -gx API_TOKEN {}",
        "ALTER ROLE app WITH PASSWORD '{}';",
    ],
)
def test_of_what_holds_one_the_value_goes_and_the_rest_stays(line: str) -> None:
    before, after = line.format("\0").split("\0") if "{{" in line else line.split("{}")
    kept, removed = scrub({"text": f"first\n{before}{GONE}{after}\nlast"})
    assert GONE not in kept["text"]
    assert removed.kinds
    assert kept["text"].startswith(f"first\n{before}[removed:"), kept["text"]
    assert kept["text"].endswith(f"]{after}\nlast"), kept["text"]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("JWT_SECRET=word", "JWT_SECRET=[removed:secret]"),
        ("export APP_SECRET=abc && run", "export APP_SECRET=[removed:secret] && run"),
        ("API_TOKEN=word make", "API_TOKEN=[removed:secret] make"),
        ('JWT_SECRET = "word"', 'JWT_SECRET = "[removed:secret]"'),
        ("POSTGRES_PASSWORD=mysecretpassword", "POSTGRES_PASSWORD=[removed:password]"),
        ("POSTGRES_PASSWORD=password", "POSTGRES_PASSWORD=[removed:password]"),
        ("PASSWORD=p$ss(1", "PASSWORD=[removed:password]"),
        ("MAX_TOKEN=4096 USE_SECRET=true", "MAX_TOKEN=4096 USE_SECRET=true"),
        ("COMMA_TOKEN = ','", "COMMA_TOKEN = ','"),
        ("IF_TOKEN = 'if'", "IF_TOKEN = 'if'"),
    ],
)
def test_what_an_environment_sets_goes_however_short(text: str, kept: str) -> None:
    assert scrub_text(text) == kept


TOKEN = "ghp_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


@pytest.mark.parametrize(
    "before", ["line\n", "tab\t", "line\r\n", "\x1b[32m", "\x1b[1;31m", '{"out": "line\\n', "a\\\\"]
)
def test_a_token_at_the_start_of_a_line_is_gone(before: str) -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
    sent: Any = {"stdout": before + TOKEN}
    assert scrub(sent)[0] == {"stdout": before + "[removed:github-token]"}
    sent = {"stdout": before + jwt + "\nnext"}
    assert scrub(sent)[0] == {"stdout": before + "[removed:jwt]\nnext"}
