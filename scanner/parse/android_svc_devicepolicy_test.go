package parse

import (
	"reflect"
	"testing"
)

const devicePolicy13 = `Current Device Policy Manager state:
  Immutable state:
    mHasFeature=true
  Device Owner: 
    admin=ComponentInfo{com.example.mdm/com.example.mdm.Receiver}
    name=Company
    package=com.example.mdm
    isOrganizationOwnedDevice=true
    User ID: 0

  Profile Owner (User 10): 
    admin=ComponentInfo{com.example.work/.Admin}
    name=
    package=com.example.work
    isOrganizationOwnedDevice=false

  Enabled Device Admins (User 0, provisioningState: 3):
    com.example.mdm/.Receiver:
      uid=10123
      testOnlyAdmin=true
      policies:
        wipe-data
        force-lock
      passwordQuality=0x20000
      minimumPasswordLength=6
      maximumTimeToUnlock=300000
      maximumFailedPasswordsForWipe=10
      specifiesGlobalProxy=false
      encryptionRequested=false
      disableCamera=true
      isNetworkLoggingEnabled=true
      mPasswordComplexity=327680
      mCrossProfilePackages=[org.example.chat, org.example.mail]
      userRestrictions:
        no_install_unknown_sources
        no_debugging_features
      defaultEnabledRestrictionsAlreadySet={no_bluetooth_sharing}
      isParent=false
    com.example.find/com.example.find.Admin:
      uid=10200
      policies:
        force-lock
      userRestrictions:
        null

    mPasswordOwner=-1
    mUserControlDisabledPackages=null

  Enabled Device Admins (User 10, provisioningState: 0):
    com.example.work/.Admin:
      uid=1010123
  Constants:
    DAS_DIED_SERVICE_RECONNECT_BACKOFF_SEC: 3600
`

func TestDevicePolicies(t *testing.T) {
	t.Parallel()
	got, err := DevicePolicies([]byte(devicePolicy13))
	want := DevicePolicy{
		Owners: []PolicyOwner{
			{Device: true, Package: "com.example.mdm", Component: "com.example.mdm/com.example.mdm.Receiver", OrganizationOwned: true, Line: 4},
			{User: 10, Package: "com.example.work", Component: "com.example.work/com.example.work.Admin", Line: 11},
		},
		Admins: []DeviceAdmin{
			{Component: "com.example.mdm/com.example.mdm.Receiver", UID: 10123, TestOnly: true, Policies: []string{"wipe-data", "force-lock"}, PasswordQuality: 0x20000,
				MinimumLength: 6, Complexity: 327680, MaximumTimeToLock: 300000, FailedBeforeWipe: 10, CameraDisabled: true, NetworkLogging: true,
				CrossProfile: []string{"org.example.chat", "org.example.mail"}, Restrictions: []string{"no_install_unknown_sources", "no_debugging_features"}, Line: 18},
			{Component: "com.example.find/com.example.find.Admin", UID: 10200, Policies: []string{"force-lock"}, PasswordQuality: -1, MinimumLength: -1, Complexity: -1,
				MaximumTimeToLock: -1, FailedBeforeWipe: -1, Line: 39},
			{User: 10, Component: "com.example.work/com.example.work.Admin", UID: 1010123, PasswordQuality: -1, MinimumLength: -1, Complexity: -1,
				MaximumTimeToLock: -1, FailedBeforeWipe: -1, Line: 50},
		},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	none, err := DevicePolicies([]byte("Current Device Policy Manager state:\n  Enabled Device Admins (User 0):\n    mPasswordOwner=-1\n"))
	if err != nil || none.Owners != nil || none.Admins != nil {
		t.Errorf("%+v %v", none, err)
	}
	if _, err := DevicePolicies([]byte("Users:\n")); err == nil {
		t.Error("another text was read")
	}
}

func FuzzDevicePolicies(f *testing.F) {
	f.Add([]byte(devicePolicy13))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, _ := DevicePolicies(b)
		for _, o := range p.Owners {
			if o.Package == "" && o.Component == "" {
				t.Errorf("%+v", o)
			}
		}
		for _, a := range p.Admins {
			if a.Component == "" || a.Line < 1 {
				t.Errorf("%+v", a)
			}
		}
	})
}
