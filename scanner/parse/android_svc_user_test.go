package parse

import (
	"reflect"
	"testing"
)

const (
	usersDump = `Current user: 0
Users:
  UserInfo{0:null:4c13} serialNo=0 isPrimary=true
    Type: android.os.usertype.full.SYSTEM
    Flags: 19475 (ADMIN|FULL|INITIALIZED|MAIN|PRIMARY|SYSTEM)
    State: RUNNING_UNLOCKED
    Has profile owner: false
    Restrictions:
      none
    Effective restrictions:
      no_safe_boot

  UserInfo{10:Anna: } work:1030} serialNo=12 isPrimary=false parentId=0
    Type: android.os.usertype.profile.PRIVATE
    State: -1
    Has profile owner: true
    Device policy local restrictions:
      no_camera
    Effective restrictions:
      no_install_unknown_sources
      no_wallpaper
    Ignore errors preparing storage: false

  Device owner id:-10000

  Guest restrictions:
    no_sms
`
	usersList = "Users:\n\tUserInfo{0:Owner:c13} running\n\tUserInfo{10:Work profile:10b0} running\n\tUserInfo{11:Guest:114}\n\tUserInfo{x:y:z}\n"
)

func TestAndroidUsers(t *testing.T) {
	t.Parallel()
	got, err := AndroidUsers([]byte(usersDump))
	want := []AndroidUser{
		{ID: 0, Flags: 0x4c13, Kind: "system", Admin: true, Running: true, Restrictions: []string{"no_safe_boot"}, Line: 3},
		{ID: 10, Serial: 12, Flags: 0x1030, Kind: "private profile", ProfileOwner: true, Restrictions: []string{"no_install_unknown_sources", "no_wallpaper"}, Line: 13},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	got, err = AndroidUsers([]byte(usersList))
	want = []AndroidUser{
		{ID: 0, Serial: -1, Flags: 0xc13, Kind: "system", Admin: true, Running: true, Line: 2},
		{ID: 10, Serial: -1, Flags: 0x10b0, Kind: "managed profile", Quiet: true, Running: true, Line: 3},
		{ID: 11, Serial: -1, Flags: 0x114, Kind: "guest", Ephemeral: true, Line: 4},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := AndroidUsers([]byte("x\n")); err == nil {
		t.Error("another text was read")
	}
}

const rolesDump = `ROLE STATE (dumpsys role):
{
  user_states={
    user_id=0
    version=1
    roles=[
      {
        name=android.app.role.SMS
        fallback_enabled=true
        holders=org.example.sms
      }
      {
        name=android.app.role.HOME
      }
      {
        name=android.app.role.BROWSER
        holders=[org.example.one, org.example.two]
      }
    ]
  }
  user_states={
    user_id=10
    roles=[
      {
        name=android.app.role.DIALER
        holders=com.example.dial
        holders=com.example.dial2
      }
    ]
  }
}
`

func TestRoleHolders(t *testing.T) {
	t.Parallel()
	got, err := RoleHolders([]byte(rolesDump))
	want := []RoleHolder{
		{Role: "android.app.role.SMS", Package: "org.example.sms", Line: 10},
		{Role: "android.app.role.BROWSER", Package: "org.example.one", Line: 17},
		{Role: "android.app.role.BROWSER", Package: "org.example.two", Line: 17},
		{User: 10, Role: "android.app.role.DIALER", Package: "com.example.dial", Line: 26},
		{User: 10, Role: "android.app.role.DIALER", Package: "com.example.dial2", Line: 27},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := RoleHolders([]byte("x=1\n")); err == nil {
		t.Error("another text was read")
	}
}

func FuzzAndroidUsers(f *testing.F) {
	for _, s := range []string{usersDump, usersList, rolesDump} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		users, _ := AndroidUsers(b)
		for _, u := range users {
			if u.ID < 0 || u.Kind == "" || u.Line < 1 {
				t.Errorf("%+v", u)
			}
		}
		roles, _ := RoleHolders(b)
		for _, r := range roles {
			if r.Role == "" || !isPackage(r.Package) {
				t.Errorf("%+v", r)
			}
		}
	})
}
