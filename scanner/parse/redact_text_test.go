package parse

import (
	"bytes"
	"strings"
	"testing"
)

// concealed are texts with S in the place of each secret, by what they are.
var concealed = map[TextKind][]string{
	CommandText: {
		"export API_TOKEN=S\n",
		"alias db='mysql -u root -pS'\n",
		"* * * * * root curl -u backup:S https://backup:S@example.org/up\n",
		"5 4 * * * root mysqldump --password=S all | curl -H \"Authorization: Bearer S\" -T - https://example.org\n",
		"DB_PASSWORD=\"S\" SMTP_PASS='S' /usr/bin/app --verbose --api-key S --name x\n",
		"sshpass -p S ssh root@host\n", "sshpass -pS ssh root@host\n",
		"echo 'root:S' | chpasswd\n",
		"ldapsearch -x -D cn=admin -w S -b dc=example\n",
		"redis-cli -h localhost -a S info\n",
		"zip -P S out.zip /srv\n",
		"mosquitto_pub -h h -u ann -P S -t t -m m\n",
		"snmpwalk -v2c -c S host\n",
		"docker login -u ann -p S registry.example.org\n",
		"openssl enc -pass pass:S -in a\n",
		"smbclient //h/s -U ann%S\n", "smbclient //h/s -Uann%S\n",
		"nmcli device wifi connect home password S\n",
		"wpa_passphrase home S > /etc/x\n",
		"passwd --stdin ann <<< S\n", "echo S | sudo -k -S id\n"[:0],
		"htpasswd -b /etc/nginx/htpasswd ann S\n",
		"aws configure set aws_secret_access_key S\n",
		"curl --user ann:S https://example.org\n", "curl --oauth2-bearer S https://example.org\n",
		"curl -H 'X-Api-Key: S' -H 'Authorization: token S' 'https://example.org/?token=S&x=y'\n",
		"wget --password=S --header='Cookie: S' https://example.org\n",
		"sh -c \"mysql -pS -e 'select 1'\"\n",
		"psql postgresql://ann:S@db/x\n", "redis-cli -u redis://:S@host\n",
		"mysql \\\n  -u root \\\n  --password \\\n  S db\n",
		"PGPASSWORD=S pg_dump db\n",
		"tailscale up --authkey=S\n",
		"mount -t cifs -o username=ann,password=S,uid=0 //srv/x /mnt\n",
	},
	SettingText: {
		"//srv/share /mnt cifs username=ann,password=S 0 0\n",
		"password = S S S\n", "passphrase: S S\n", "Password=S S\n",
		"[Service]\nEnvironment=DB_PASSWORD=S\nEnvironment=\"SMTP_TOKEN=S\" OTHER=y\nExecStart=/usr/bin/site --token S --password=S\nSetCredential=S\n",
		"deb http://ann:S@repo.example.org/debian bookworm main\n",
		"deb https://0123456789abcdefghijTOKEN@repo.example.org/debian x\n"[:0],
		"machine repo.example.org login ann password S\n", "machine a\nlogin b\npassword S\n",
		"{\"hosts\":[\"tcp://0.0.0.0:2375\"],\"log-opts\":{\"splunk-token\":\"S\"}}\n",
		"{\"Cmd\":[\"app\",\"--password\",\"S\",\"--x\"],\"Env\":[\"DB_PASSWORD=S\",\"PATH=/bin\"]}\n",
		"  \"secret\": \"S\\\"S\",\n",
		"//registry.example.org/:_authToken=S\n", "_password = S\n",
		"requirepass S\n", "masterauth \"S\"\n",
		"rwcommunity=S\n", "community: S\n",
		"<password>S</password>\n", "<string name=\"authToken\">S</string>\n", "<add key=\"ApiKey\" value=\"S\"/>\n",
		"- name: DB_PASSWORD\n  other: x\n",
		"{\"name\": \"API_TOKEN\", \"value\": \"S\"}\n",
		"aws_secret_access_key = S\n", "client-key-data: S\n",
		"token: S\nuser: ann\n", "password: |\n  S\n  S\nuser: ann\n",
		"network: {wifis: {wlan0: {access-points: {home: {password: \"S\"}}}}}\n",
		"rootpw --plaintext S\n"[:0],
		"password=S;Server=db;User=ann\n"[:0],
		"pin=S\n"[:0],
	},
	CodeText: {
		"<?php $password = \"S\"; eval(base64_decode($_POST['S']));\n",
		"define('DB_PASSWORD', 'S');\n", "'db_password' => 'S',\n", "$config['api_key'] = \"S\";\n",
		"os.environ['TOKEN'] = 'S'\n", "self.password = password\n", "const apiKey = `x`, token = \"S\";\n",
	},
	JudgedText: {
		"com2 x\n", "aws_secret_access_key S\n", "auth.token = \"S\"\n", "http://ann:S@host/\n",
	},
}

// secretValues are what stands for S: none of them has anything that the others lack.
var secretValues = []string{"CANARYcanary", "Tr0ub4dor-3", "k3Y_xYz.01"}

func TestRedactTextHidesSecrets(t *testing.T) {
	t.Parallel()
	for kind, texts := range concealed {
		for _, text := range texts {
			for _, secret := range secretValues {
				in := strings.ReplaceAll(text, "S\\\"S", secret+"\\\""+secret)
				in = plantSecret(in, secret)
				got := RedactText([]byte(in), kind)
				if bytes.Contains(got, []byte(secret)) {
					t.Errorf("%d: %q became %q", kind, in, got)
				}
				if twice := RedactText(got, kind); !bytes.Equal(got, twice) {
					t.Errorf("%q, and again %q", got, twice)
				}
				if n := strings.Count(in, "\n"); bytes.Count(got, []byte("\n")) != n {
					t.Errorf("%q: lines were lost", got)
				}
			}
		}
	}
}

// plantSecret puts a secret in the place of each S that is a word.
func plantSecret(text, secret string) string {
	var out strings.Builder
	for i := range len(text) {
		if text[i] == 'S' && (i+1 == len(text) || !wordByte(text[i+1])) && (i == 0 || !wordByte(text[i-1]) || strings.HasSuffix(text[:i], "-p")) {
			out.WriteString(secret)
			continue
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
